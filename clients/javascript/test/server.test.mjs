// In a process of its own: a WebAssembly module of LERC is loaded once.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { test } from 'node:test'

import { register } from '../src/index.js'
import { inCOrder, vectors } from './vectors.mjs'

const all = await vectors()

test('WebAssembly files may be on a server, and are read again after it sent a page in their place', async () => {
  let isThere = false
  const server = createServer(async (request, response) => {
    if (isThere) response.end(await readFile(new URL(`../wasm${request.url}`, import.meta.url)))
    else response.setHeader('content-type', 'text/html').end('<!doctype html><title>An application</title>')
  }).listen(0)
  try {
    for (const [codec, what] of [['jpeg2k', ''], ['jpegxl', ''], ['tiff', 'LERC with a mask']]) {
      const registry = new Map()
      register(registry, { wasm: async (name) => `http://127.0.0.1:${server.address().port}/${name}` })
      const vector = all.find((one) => one.codec === `imagecodecs_${codec}` && one.name.startsWith(what))
      const [{ name, configuration }] = vector.codecs
      const { fromConfig } = await registry.get(name)()
      const meta = { shape: vector.chunk_shape, codecs: vector.codecs, dataType: vector.data_type }
      const decode = () => fromConfig(configuration, meta).decode(vector.encoded)
      isThere = false
      await assert.rejects(decode, /no WebAssembly module, but text\/html/, codec)
      isThere = true
      assert.deepEqual(inCOrder(await decode()), vector.decoded, codec)
    }
  } finally {
    server.close()
  }
})
