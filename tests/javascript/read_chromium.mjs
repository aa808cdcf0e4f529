// Reads arrays of an Icechunk repository with zarrita.js in headless Chromium, on a cross-origin
// isolated page. Tasks and answers are those of read.mjs.

import { once } from 'node:events'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import { build } from 'esbuild'

import { launch } from './chromium.mjs'

const WASI = '@earthmover/icechunk-wasm32-wasi'
// A page that Icechunk 2.2.2 hangs on costs no more than the arrays after it.
const ARRAYS_PER_PAGE = 64
const SECONDS = 30
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
  await build({ ...options, entryPoints: ['page.mjs', 'worker.mjs'], splitting: true, outdir: js })
  const thread = 'wasi-worker-browser.mjs'
  await build({ ...options, entryPoints: [join(modules, WASI, thread)], outfile: join(js, WASI, thread) })
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
const { context, close: closeBrowser } = await launch()

async function openPage() {
  const page = await context.newPage()
  page.on('pageerror', (error) => process.stderr.write(`${error.stack}\n`))
  await page.goto(`http://127.0.0.1:${server.address().port}/index.html`)
  await page.waitForFunction(() => 'readArray' in globalThis)
  if (!(await page.evaluate(() => globalThis.crossOriginIsolated))) throw new Error('the page is not isolated')
  return page
}

let page

/** Read an array; once more on a new page where Icechunk does not answer. */
async function read(name, tries = 2) {
  page ??= await openPage()
  const call = ([all, one]) => globalThis.readArray(all, one)
  const answer = page.evaluate(call, [task, name]).catch((error) => {
    process.stderr.write(`${name}: ${error.message}\n`)
  })
  const found = await Promise.race([answer, setTimeout(SECONDS * 1000, undefined, { ref: false })])
  if (found) return found
  await close()
  if (tries > 1) return read(name, tries - 1)
  throw new Error(`${name}: no answer in ${SECONDS} s`)
}

async function close() {
  await page?.close()
  page = undefined
}

try {
  for (const [i, name] of task.names.entries()) {
    if (i % ARRAYS_PER_PAGE === 0) await close()
    const { answer, whole, part } = await read(name)
    if (whole) {
      await writeFile(`${task.to}/${name}.bin`, Buffer.from(whole, 'base64'))
      await writeFile(`${task.to}/${name}.window.bin`, Buffer.from(part, 'base64'))
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`)
  }
} finally {
  await closeBrowser()
  server.close()
  await rm(folder, { recursive: true, force: true, maxRetries: 5 })
}
