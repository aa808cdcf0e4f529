import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import * as zarr from 'zarrita'
import * as zarr05 from 'zarrita-0.5'
import * as zarr06 from 'zarrita-0.6'

import { names, register } from '../src/index.js'
import { zstdFrame } from './bombs.mjs'
import { read, storeOf, vectors } from './vectors.mjs'

const all = await vectors()

for (const [version, module] of [['0.5', zarr05], ['0.6', zarr06], ['0.7', zarr]]) {
  register(module.registry)
  for (const vector of all) {
    test(`zarrita ${version}: ${vector.codec}: ${vector.name}`, async () => {
      assert.deepEqual(await read(module, storeOf(vector)), vector.decoded)
    })
  }
}

for (const [version, module] of [['0.5', zarr05], ['0.6', zarr06], ['0.7', zarr]]) {
  const stored = (data_type, first, content) => storeOf({
    data_type,
    chunk_shape: [3],
    codecs: [{ name: first }, { name: 'zstd', configuration: { level: 0, checksum: false } }],
    encoded: zstdFrame([0, 0], [[0, content.length, ...content]]),
  })
  const all = async (store) => {
    const array = await module.open.v3(module.root(store), { kind: 'array' })
    return [...(await module.get(array)).data]
  }
  test(`zarrita ${version}: booleans and (0.6, 0.7) strings are read as without this package`, async () => {
    assert.deepEqual(await all(stored('bool', 'bytes', [1, 0, 1])), [true, false, true])
    if (version === '0.5') return
    const texts = [3, 0, 0, 0, 1, 0, 0, 0, 97, 0, 0, 0, 0, 2, 0, 0, 0, 98, 99]
    assert.deepEqual(await all(stored('string', 'vlen-utf8', texts)), ['a', '', 'bc'])
  })
}

for (const [version, module] of [['0.5', zarr05], ['0.6', zarr06], ['0.7', zarr]]) {
  test(`zarrita ${version}: what a store returned is as it was, and is read twice`, async () => {
    const encoded = Uint8Array.of(1, 2, 3, 4)
    for (const vector of [
      { data_type: 'uint16', chunk_shape: [2], codecs: [{ name: 'bytes', configuration: { endian: 'big' } }] },
      { data_type: 'uint8', chunk_shape: [4], codecs: [{ name: 'imagecodecs_bitorder' }, { name: 'bytes' }] },
    ]) {
      const store = storeOf({ ...vector, encoded })
      const first = await read(module, store)
      assert.deepEqual(await read(module, store), first)
    }
  })
}

for (const [version, module] of [['0.5', zarr05], ['0.6', zarr06], ['0.7', zarr]]) {
  test(`zarrita ${version}: chunks may be parts of a store's memory, and a Buffer`, async () => {
    for (const vector of all) {
      const size = vector.encoded.length
      for (const Memory of [ArrayBuffer, SharedArrayBuffer]) {
        const memory = new Memory(size + 16)
        for (const part of [new Uint8Array(memory, 3, size), Buffer.from(memory, 3, size)]) {
          part.set(vector.encoded)
          const store = storeOf(vector)
          store.set([...store.keys()].at(-1), part)
          assert.deepEqual(await read(module, store), vector.decoded, `${vector.codec}: ${vector.name}`)
          assert.deepEqual([...part], [...vector.encoded], `${vector.codec}: ${vector.name}`)
        }
      }
    }
  })
}

test('every codec has a vector', () => {
  assert.deepEqual([...new Set(all.map(({ codec }) => codec))].sort(), [...names].sort())
})

test('a WebAssembly file that could not be read is read again, for all chunks that wait for it', async () => {
  for (const [codec, what] of [['jpeg2k', ''], ['jpegxl', ''], ['tiff', 'LERC with a mask']]) {
    const vector = all.find((one) => one.codec === `imagecodecs_${codec}` && one.name.startsWith(what))
    const folder = new URL('../wasm/', import.meta.url)
    let isThere = false
    const registry = new Map()
    register(registry, { wasm: (name) => new URL(isThere ? name : `absent/${name}`, folder) })
    const [{ name, configuration }] = vector.codecs
    const { fromConfig } = await registry.get(name)()
    const meta = { shape: vector.chunk_shape, codecs: vector.codecs, dataType: vector.data_type }
    const decode = () => fromConfig(configuration, meta).decode(vector.encoded)
    const outcomes = async () => (await Promise.allSettled([decode(), decode(), decode()])).map(({ status }) => status)
    assert.deepEqual(await outcomes(), ['rejected', 'rejected', 'rejected'], codec)
    isThere = true
    assert.deepEqual(await outcomes(), ['fulfilled', 'fulfilled', 'fulfilled'], codec)
  }
})

test('an address that is none is refused by what returned it', async () => {
  for (const [codec, what] of [['jpeg2k', ''], ['jpegxl', ''], ['tiff', 'LERC with a mask']]) {
    const vector = all.find((one) => one.codec === `imagecodecs_${codec}` && one.name.startsWith(what))
    for (const given of [undefined, null, '', 'folder/x.wasm']) {
      const registry = new Map()
      register(registry, { wasm: () => given })
      const { fromConfig } = await registry.get(vector.codecs[0].name)()
      const meta = { shape: vector.chunk_shape, codecs: vector.codecs, dataType: vector.data_type }
      await assert.rejects(
        async () => fromConfig(vector.codecs[0].configuration, meta).decode(vector.encoded),
        { name: 'TypeError', message: /^wasm\('\w+\.wasm'\) returned .*, which is no URL$/ },
      )
    }
  }
  for (const wasm of ['https://example.com/wasm/', null]) assert.throws(() => register(new Map(), { wasm }), TypeError)
})

// Not a vector: in browsers, zarrita's Zstandard needs 'unsafe-eval'.
const LERC_IN_ZSTANDARD =
  'TU0AKgAAAAgADQEAAAMAAAABAAQAAAEBAAMAAAABAAQAAAECAAMAAAABABAAAAEDAAMAAAABiEcAAAEGAAMAAAABAAEAAAERAAQAAAABAAABJAEVAAMA' +
  'AAABAAEAAAEWAAMAAAABAAQAAAEXAAQAAAABAAAAaQEcAAMAAAABAAEAAAFTAAMAAAABAAIAAKSAAAIAAAByAAAAssXyAAQAAAACAAAAqgAAAAAAAAAE' +
  'AAAAAjxHREFMTWV0YWRhdGE+CiAgPEl0ZW0gbmFtZT0iQ09NUFJFU1NJT05fUkVWRVJTSUJJTElUWSIgZG9tYWluPSJJTUFHRV9TVFJVQ1RVUkUiPkxP' +
  'U1NMRVNTPC9JdGVtPgo8L0dEQUxNZXRhZGF0YT4KACi1L/0gawUDAPQETGVyYzIgBAAAAH9QYKUBAAAAEAAAAAgAAABrAAAAAgDgP8D/28CAP9xAAZD+' +
  'cAH84P1E/aj+DP5w/tT/OP+cAAAAZADIASwBkAH0AlgCvAYAIMhKkJSA4Sh2YS0oSg=='

test('LERC in Zstandard, in a big-endian file', async () => {
  const vector = {
    data_type: 'int16',
    chunk_shape: [4, 4],
    codecs: [{ name: 'imagecodecs_tiff', configuration: { index: 0 } }],
    encoded: new Uint8Array(Buffer.from(LERC_IN_ZSTANDARD, 'base64')),
  }
  for (const module of [zarr05, zarr06, zarr]) {
    const bytes = await read(module, storeOf(vector))
    assert.deepEqual([...new Int16Array(bytes.buffer)], Array.from({ length: 16 }, (_, n) => 100 * (n - 8)))
  }
})

test('nothing global is changed, and nothing is printed', async () => {
  const script = fileURLToPath(new URL('globals.mjs', import.meta.url))
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [script])
  const { before, after } = JSON.parse(stdout)
  assert.deepEqual(after, before)
  assert.equal(stderr, '')
})

test('CCITT streams that are damaged, as imagecodecs has them', async () => {
  const fax = (kind, bits, configuration) => read(zarr, storeOf({
    data_type: 'uint8',
    chunk_shape: [2, 40],
    codecs: [{ name: `imagecodecs_ccitt${kind}`, configuration }],
    encoded: Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2))),
  }))
  // Ten white, five black, five white; then 000010, the beginning of several codes of black.
  const row = new Uint8Array(80)
  row.fill(1, 10, 15)
  assert.deepEqual(await fax('rle', '0011100111100001'), row)
  await assert.rejects(fax('fax4', '0000000000000000'))
  await assert.rejects(fax('fax3', '00000000000101000000000011111111', { t4options: 5 }))
})
