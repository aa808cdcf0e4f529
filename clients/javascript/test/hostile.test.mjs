// Streams that claim or hold more than their chunk, and damaged ones: an error or the chunk, soon.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import * as zarr from 'zarrita'

import { register } from '../src/index.js'
import { bombs, damaged, small, ZSTD, zstdFrame } from './bombs.mjs'
import { read, storeOf, vectors } from './vectors.mjs'

register(zarr.registry)

const SECONDS = 10
const MEBIBYTES = 64
const all = await vectors()
const find = (codec, name) => all.find((v) => v.codec === codec && (!name || v.name === name))
const sizeOf = ({ decoded }) => decoded.length

/** Bytes that a store's array decodes to, or the error. */
async function outcome(vector) {
  const began = performance.now()
  const before = process.memoryUsage.rss()
  let result
  try {
    result = await read(zarr, storeOf(vector))
  } catch (error) {
    result = error
  }
  const seconds = (performance.now() - began) / 1000
  const grown = (process.memoryUsage.rss() - before) / 2 ** 20
  assert.ok(seconds < SECONDS, `${vector.codec}, ${vector.name}: ${seconds} s`)
  assert.ok(grown < MEBIBYTES + sizeOf(vector) / 2 ** 20, `${vector.codec}, ${vector.name}: ${grown} MiB`)
  return result
}

const refused = async (vector) => assert.ok((await outcome(vector)) instanceof Error, vector.name)

for (const bomb of bombs(all)) test(`refused: ${bomb.name}`, () => refused(bomb))

test('a Zstandard window is no larger than its content', async () => {
  const windows = [1, 12, 17, 31].map((exponent) => exponent << 3)
  for (const window of windows) {
    const result = await outcome(small(ZSTD, zstdFrame([0, window], [[1, 16, 7]])))
    assert.deepEqual([...result], new Array(16).fill(7))
  }
  // Content of more than a window, which is not made smaller than it was.
  const raw = [0, 1000, ...new Uint8Array(1000).fill(3)]
  const vector = { ...small(ZSTD, zstdFrame([0, 0], [raw, raw, [1, 1000, 4]])), chunk_shape: [3000] }
  const result = await outcome({ ...vector, decoded: new Uint8Array(3000) })
  assert.deepEqual([...result], [...new Array(2000).fill(3), ...new Array(1000).fill(4)])
})

test('LZW ends with its chunk', async () => {
  // Old-style: a clear code, then zeros without end.
  const bytes = new Uint8Array(1 << 20)
  bytes.set([0, 1])
  const result = await outcome(small([{ name: 'bytes' }, { name: 'imagecodecs_lzw' }], bytes))
  assert.equal(result.length, 16)
})

test('PackBits ends with its chunk', async () => {
  const bytes = new Uint8Array(1 << 20).fill(129)
  const result = await outcome(small([{ name: 'bytes' }, { name: 'imagecodecs_packbits' }], bytes))
  assert.deepEqual([...result], new Array(16).fill(129))
})

test('images of another size than the chunk are refused before they are decoded', async () => {
  const images = all.filter(({ codecs }) => /_(png|jpeg|jpeg2k|jpegxl|jpegxr|webp|lerc)$/.test(codecs.at(-1).name))
  for (const vector of images) {
    const shape = vector.chunk_shape.map((n, i) => (i === 0 ? n + 8 : n))
    await refused({ ...vector, chunk_shape: shape })
  }
})

test('fax chunks whose shape does not fit are refused', async () => {
  const vector = find('imagecodecs_ccittfax4')
  await refused({ ...vector, chunk_shape: [2, 8, 40] })
})

test('configurations that no decoder has are refused', async () => {
  const [delta] = all.filter(({ codec }) => codec === 'imagecodecs_delta')
  await refused({ ...delta, codecs: [{ name: 'imagecodecs_delta', configuration: { axis: -1, dist: 2 } }, delta.codecs[1]] })
  const jpeg = find('imagecodecs_jpeg', 'YCbCr 420')
  await refused({ ...jpeg, codecs: [{ name: 'imagecodecs_jpeg', configuration: { colorspace_jpeg: 'YCbCr', colorspace_data: 'CMYK' } }] })
})

test('complex and 16-bit floats are refused by name', async () => {
  const vector = find('imagecodecs_floatpred')
  const error = await outcome({ ...vector, data_type: 'complex64' })
  assert.match(`${error.message} ${error.cause?.message}`, /complex64/)
})

test('damaged streams end in an error or a chunk', async () => {
  for (const vector of damaged(all, 12)) {
    const result = await outcome(vector)
    if (!(result instanceof Error)) assert.equal(result.length, sizeOf(vector), vector.name)
  }
})

test('after all this, good streams decode as before', async () => {
  for (const vector of all) assert.deepEqual(await read(zarr, storeOf(vector)), vector.decoded, vector.name)
})
