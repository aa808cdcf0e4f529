// Bundles the page: `node build.mjs FOLDER`.

import { cp, mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

import { build } from 'esbuild'

const WASI = '@earthmover/icechunk-wasm32-wasi'
const here = fileURLToPath(new URL('.', import.meta.url))
const modules = join(here, 'node_modules')
const site = resolve(process.argv[2] ?? join(here, 'dist'))
const js = join(site, 'js')
const options = {
  absWorkingDir: here,
  bundle: true,
  format: 'esm',
  conditions: ['browser'],
  // Modules of Node that dependencies load in Node only.
  external: ['fs', 'path', 'module', 'node:fs/promises'],
  logLevel: 'error',
  minify: true,
}

await mkdir(js, { recursive: true })
await build({ ...options, entryPoints: ['src/main.js', 'src/worker.js'], splitting: true, outdir: js })
// What bundlers leave out: the threads of Icechunk, and the WebAssembly files, beside the bundle.
const thread = 'wasi-worker-browser.mjs'
await build({ ...options, entryPoints: [join(modules, WASI, thread)], outfile: join(js, WASI, thread) })
const wasm = 'icechunk.wasm32-wasi.wasm'
await cp(join(modules, WASI, wasm), join(js, wasm))
await cp(join(modules, 'zarrita-tiff-codecs/wasm'), join(site, 'wasm'), { recursive: true })
await cp(join(modules, 'ol/ol.css'), join(js, 'ol.css'))
await cp(join(here, 'index.html'), join(site, 'index.html'))
