// Reads arrays of an Icechunk repository with zarrita.js in headless Chromium, on a cross-origin
// isolated page. Tasks and answers are those of read.mjs.

import { once } from 'node:events'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

import { build } from 'esbuild'
import { chromium } from 'playwright-core'

const WASI = '@earthmover/icechunk-wasm32-wasi'
const FLAGS = [
  '--disable-background-networking', '--disable-component-update', '--disable-gpu', '--disable-sync', '--no-sandbox',
]
// Icechunk 2.2.2 in Chromium stops to answer after some 30 arrays, whatever their codecs.
const ARRAYS_PER_PAGE = 16
const TYPES = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
}
const here = fileURLToPath(new URL('.', import.meta.url))
const modules = join(here, 'node_modules')

/** Bundle the page into a folder, with the files that bundlers leave out. */
async function bundle(folder) {
  const options = {
    absWorkingDir: here,
    bundle: true,
    format: 'esm',
    conditions: ['browser'],
    // Modules of Node that dependencies load in Node only.
    external: ['fs', 'path', 'module'],
    logLevel: 'error',
  }
  const js = join(folder, 'js')
  await build({ ...options, entryPoints: ['page.mjs'], splitting: true, outdir: js })
  const worker = 'wasi-worker-browser.mjs'
  await build({ ...options, entryPoints: [join(modules, WASI, worker)], outfile: join(js, WASI, worker) })
  const wasm = 'icechunk.wasm32-wasi.wasm'
  await cp(join(modules, WASI, wasm), join(js, wasm))
  await cp(join(modules, 'zarrita-tiff-codecs/wasm'), join(folder, 'wasm'), { recursive: true })
  await writeFile(join(folder, 'index.html'), '<!doctype html><script type="module" src="js/page.js"></script>')
}

/** Serve a folder with the headers that make a page cross-origin isolated. */
async function serve(folder) {
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost')
    const body = await readFile(join(folder, pathname)).catch(() => null)
    response.writeHead(body ? 200 : 404, {
      'content-type': TYPES[extname(pathname)] ?? 'text/plain',
      'cross-origin-embedder-policy': 'require-corp',
      'cross-origin-opener-policy': 'same-origin',
    })
    response.end(body)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

const task = JSON.parse(await text(process.stdin))
const folder = await mkdtemp(join(tmpdir(), 'virtual-tiff-chromium-'))
await bundle(join(folder, 'dist'))
const server = await serve(join(folder, 'dist'))
const context = await chromium.launchPersistentContext(join(folder, 'profile'), {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: FLAGS,
  headless: true,
})

async function openPage() {
  const page = await context.newPage()
  page.on('pageerror', (error) => process.stderr.write(`${error.stack}\n`))
  await page.goto(`http://127.0.0.1:${server.address().port}/index.html`)
  await page.waitForFunction(() => 'readArray' in globalThis)
  if (!(await page.evaluate(() => globalThis.crossOriginIsolated))) throw new Error('the page is not isolated')
  return page
}

try {
  let page
  for (const [i, name] of task.names.entries()) {
    if (i % ARRAYS_PER_PAGE === 0) {
      await page?.close()
      page = await openPage()
    }
    const call = ([all, one]) => globalThis.readArray(all, one)
    const { answer, whole, part } = await page.evaluate(call, [task, name])
    if (whole) {
      await writeFile(`${task.to}/${name}.bin`, Buffer.from(whole, 'base64'))
      await writeFile(`${task.to}/${name}.window.bin`, Buffer.from(part, 'base64'))
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`)
  }
} finally {
  await context.close()
  server.close()
  await rm(folder, { recursive: true, force: true, maxRetries: 5 })
}
