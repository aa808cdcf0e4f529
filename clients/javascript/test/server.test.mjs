// In a process of its own: a WebAssembly module of LERC is loaded once.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { test } from 'node:test'

import { register } from '../src/index.js'
import { inCOrder, vectors } from './vectors.mjs'

const all = await vectors()

test('WebAssembly files may be on a server', async () => {
  const server = createServer(async (request, response) => {
    response.end(await readFile(new URL(`../wasm${request.url}`, import.meta.url)))
  }).listen(0)
  try {
    for (const codec of ['jpeg2k', 'jpegxl', 'lerc']) {
      const registry = new Map()
      register(registry, { wasm: (name) => `http://127.0.0.1:${server.address().port}/${name}` })
      const vector = all.find((one) => one.codec === `imagecodecs_${codec}`)
      const [{ name, configuration }] = vector.codecs
      const { fromConfig } = await registry.get(name)()
      const meta = { shape: vector.chunk_shape, codecs: vector.codecs, dataType: vector.data_type }
      assert.deepEqual(inCOrder(await fromConfig(configuration, meta).decode(vector.encoded)), vector.decoded, codec)
    }
  } finally {
    server.close()
  }
})
