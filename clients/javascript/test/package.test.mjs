// The package as npm publishes it: packed, installed in a clean folder, bundled, and run in Chromium on a
// page with a strict Content-Security-Policy. Bundled by esbuild and by Vite, and compiled by TypeScript.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { copyFile, cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { build } from 'esbuild'
import { chromium } from 'playwright-core'
import { build as buildByVite, createServer as createViteServer } from 'vite'

import { bombs, damaged } from './bombs.mjs'
import { vectors } from './vectors.mjs'

const run = promisify(execFile)
const here = fileURLToPath(new URL('.', import.meta.url))
const all = await vectors()
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm' }
const POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self' data:"
const FLAGS = [
  '--disable-background-networking', '--disable-component-update', '--disable-gpu', '--disable-sync', '--no-sandbox',
]

let folder
let context
let server
let page
const messages = []

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'zarrita-tiff-codecs-'))
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder], { cwd: join(here, '..') })
  const [{ filename }] = JSON.parse(stdout.slice(stdout.indexOf('[')))
  const { devDependencies } = JSON.parse(await readFile(join(here, '../package.json'), 'utf8'))
  await writeFile(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module' }))
  const quiet = ['--no-audit', '--no-fund', '--no-package-lock', '--ignore-scripts']
  await run('npm', ['install', ...quiet, `./${filename}`, `zarrita@${devDependencies.zarrita}`], { cwd: folder })
  for (const name of ['chunk.mjs', 'page.mjs']) await copyFile(join(here, name), join(folder, name))
  // As the README says.
  await build({
    absWorkingDir: folder,
    entryPoints: ['page.mjs'],
    bundle: true,
    format: 'esm',
    splitting: true,
    outdir: 'dist/js',
    external: ['fs', 'path', 'module'],
    logLevel: 'error',
  })
  await cp(join(folder, 'node_modules/zarrita-tiff-codecs/wasm'), join(folder, 'dist/wasm'), { recursive: true })
  await writeFile(join(folder, 'dist/index.html'), '<!doctype html><script type="module" src="js/page.js"></script>')
  await writeFile(join(folder, 'index.html'), '<!doctype html><script type="module" src="./page.mjs"></script>')
  await buildByVite({ root: folder, base: './', configFile: false, logLevel: 'error', build: { outDir: 'dist/vite' } })
  server = createServer(async (request, response) => {
    const path = new URL(request.url, 'http://localhost').pathname
    const body = await readFile(join(folder, 'dist', path)).catch(() => null)
    const headers = {
      'content-type': TYPES[extname(path)] ?? 'text/plain',
      'content-security-policy': POLICY,
      // For SharedArrayBuffer.
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-embedder-policy': 'require-corp',
    }
    // Chromium asks for an icon.
    response.writeHead(body ? 200 : path === '/favicon.ico' ? 204 : 404, headers).end(body)
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  context = await chromium.launchPersistentContext(join(folder, 'profile'), {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: FLAGS,
    headless: true,
  })
  page = await context.newPage()
  page.on('console', (message) => messages.push(message.text()))
  page.on('pageerror', (error) => messages.push(error.message))
  await page.goto(`http://127.0.0.1:${server.address().port}/index.html`)
  await page.waitForFunction(() => 'decode' in globalThis)
})

after(async () => {
  await context?.close()
  server?.close()
  await rm(folder, { recursive: true, force: true, maxRetries: 5 })
})

const base64 = (bytes) => Buffer.from(bytes).toString('base64')

async function decodesEveryVector(options) {
  for (const vector of all) {
    const task = { ...vector, ...options, encoded: base64(vector.encoded), decoded: '' }
    const found = await page.evaluate((one) => globalThis.decode(one), task)
    assert.deepEqual(found, { decoded: base64(vector.decoded) }, `${vector.codec}: ${vector.name}`)
  }
}

test('Chromium decodes every vector', () => decodesEveryVector())

test('Chromium decodes every vector from shared memory', () => decodesEveryVector({ isShared: true }))

test('Chromium ignores bytes after a Deflate stream, and refuses one without its checksum', async () => {
  const vector = all.find(({ codec }) => codec === 'numcodecs.zlib')
  const decode = (encoded) =>
    page.evaluate((one) => globalThis.decode(one), { ...vector, encoded: base64(encoded), decoded: '' })
  const longer = await decode([...vector.encoded, 7])
  assert.deepEqual(longer, { decoded: base64(vector.decoded) })
  for (const count of [1, 4]) assert.ok('error' in (await decode(vector.encoded.slice(0, -count))))
})

test('Chromium refuses bombs, and ends damaged streams, within ten seconds each', async () => {
  const run = async (vector) => {
    const began = performance.now()
    const found = await page.evaluate((one) => globalThis.decode(one), { ...vector, encoded: base64(vector.encoded), decoded: '' })
    const seconds = (performance.now() - began) / 1000
    assert.ok(seconds < 10, `${vector.codec}, ${vector.name}: ${seconds} s`)
    return found
  }
  for (const bomb of bombs(all)) assert.ok('error' in (await run(bomb)), bomb.name)
  for (const vector of damaged(all, 2)) {
    const { decoded } = await run(vector)
    if (decoded) assert.equal(Buffer.from(decoded, 'base64').length, vector.decoded.length, vector.name)
  }
  // The page is alive, and decodes as before.
  for (const vector of all) assert.deepEqual(await run(vector), { decoded: base64(vector.decoded) }, vector.name)
})

test('Chromium decodes every vector with what Vite built', async () => {
  await page.goto(`http://127.0.0.1:${server.address().port}/vite/index.html`)
  await page.waitForFunction(() => 'decode' in globalThis)
  await decodesEveryVector()
})

test("Chromium decodes every vector from Vite's development server", async () => {
  // As the README says.
  const needed = ['@cornerstonejs/codec-openjpeg/decodewasmjs', 'jpegxr'].map((name) => `zarrita-tiff-codecs > ${name}`)
  const vite = await createViteServer({
    root: folder,
    configFile: false,
    logLevel: 'error',
    optimizeDeps: { exclude: ['zarrita-tiff-codecs'], include: needed, entries: ['index.html'] },
    server: { host: '127.0.0.1', port: 0, hmr: false, watch: null },
  })
  try {
    await vite.listen()
    const printed = messages.length
    await page.goto(vite.resolvedUrls.local[0])
    await page.waitForFunction(() => 'decode' in globalThis)
    await decodesEveryVector()
    // Its own client prints that it connects.
    messages.length = printed
  } finally {
    await page.goto('about:blank')
    await vite.close()
  }
})

const CONSUMER = `
import * as zarr from 'zarrita'
import { names, register, type Registry, type WasmFile } from 'zarrita-tiff-codecs'
import { withoutTranspose } from 'zarrita-tiff-codecs/store'

register(zarr.registry)
register(zarr.registry, { wasm: (name: WasmFile) => new URL(name, 'https://example.com/wasm/') })
const first: string | undefined = names[0]
const registry: Registry = new Map()
register(registry)
const store = withoutTranspose(new zarr.FetchStore('https://example.com/cube'), zarr.registry)
export const opened = zarr.open.v3(zarr.root(store).resolve(first ?? ''), { kind: 'array' })
// @ts-expect-error No such option.
register(zarr.registry, { wams: 'https://example.com/' })
// @ts-expect-error No such file.
register(zarr.registry, { wasm: (name) => (name === 'gif.wasm' ? '' : name) })
`

test('a strict TypeScript consumer compiles', async () => {
  await writeFile(join(folder, 'consumer.ts'), CONSUMER)
  const compiler = fileURLToPath(new URL('../node_modules/typescript/bin/tsc', import.meta.url))
  const options = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess', '--target', 'es2022']
  // Types that zarrita.js depends on are not for Node's resolution.
  for (const resolution of [['--module', 'nodenext', '--skipLibCheck'], ['--module', 'esnext', '--moduleResolution', 'bundler']]) {
    const { stdout } = await run(process.execPath, [compiler, ...options, ...resolution, 'consumer.ts'], { cwd: folder })
      .catch((error) => error)
    assert.equal(stdout, '')
  }
})

test('the pages print nothing', () => {
  assert.deepEqual(messages, [])
})
