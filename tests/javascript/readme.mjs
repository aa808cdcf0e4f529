// Opens the page of clients/javascript/README.md in Chromium: as Vite serves it, as Vite builds it, and as esbuild does.
// The current folder has its files; `dist` is what esbuild wrote. Prints what the page prints, a line for each way.

import { join } from 'node:path'

import { build, createServer, preview } from 'vite'

import { launch } from './chromium.mjs'

// Packages are elsewhere, behind a link, so that Vite has to be allowed to serve them.
const listening = { host: '127.0.0.1', port: 0 }
const options = {
  configFile: join(process.cwd(), 'vite.config.js'),
  cacheDir: join(process.cwd(), '.vite'),
  logLevel: 'error',
  server: { ...listening, fs: { strict: false }, hmr: false, watch: null },
  preview: listening,
}
const { context, close } = await launch()

/** Open the page, and print what it logs first; messages of Chromium have other types. */
async function show(server) {
  const page = await context.newPage()
  page.on('pageerror', (error) => process.stderr.write(`${error.stack}\n`))
  const printed = page.waitForEvent('console', { predicate: (message) => message.type() === 'log', timeout: 60_000 })
  await page.goto(server.resolvedUrls.local[0])
  const [shape, stride, data] = await Promise.all((await printed).args().map((value) => value.jsonValue()))
  process.stdout.write(`${JSON.stringify({ shape, stride, data: Object.values(data) })}\n`)
  await page.close()
  await server.close()
}

try {
  await show(await (await createServer(options)).listen())
  const outDir = 'built'
  await build({ ...options, build: { outDir } })
  await show(await preview({ ...options, build: { outDir } }))
  await show(await preview({ ...options, build: { outDir: 'dist' } }))
} finally {
  await close()
}
