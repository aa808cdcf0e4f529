// Opens the page of clients/javascript/README.md in Chromium: as Vite serves it, as Vite builds it, and as esbuild does.
// The current folder has its files; `dist` is what esbuild wrote. Prints what the page prints, a line for each way.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { chromium } from 'playwright-core'
import { build, createServer, preview } from 'vite'

// Packages are elsewhere, behind a link, so that Vite has to be allowed to serve them.
const listening = { host: '127.0.0.1', port: 0 }
const options = {
  configFile: join(process.cwd(), 'vite.config.js'),
  cacheDir: join(process.cwd(), '.vite'),
  logLevel: 'error',
  server: { ...listening, fs: { strict: false }, hmr: false, watch: null },
  preview: listening,
}
const profile = await mkdtemp(join(tmpdir(), 'virtual-tiff-readme-'))
const context = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--disable-background-networking', '--disable-component-update', '--disable-gpu', '--disable-sync', '--no-sandbox'],
  headless: true,
})

/** What the page prints first that is no message of Chromium, such as that an object is not there. */
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
  await context.close()
  await rm(profile, { recursive: true, force: true, maxRetries: 5 })
}
