// Streams that claim or hold more than their chunk, and damaged ones: an error or the chunk, soon.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deflateSync } from 'node:zlib'

import * as zarr from 'zarrita'

import { register } from '../src/index.js'
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
const small = (codecs, encoded, data_type = 'uint8') => ({
  codec: codecs.at(-1).name, name: 'small', data_type, chunk_shape: [4, 4], codecs, encoded, decoded: new Uint8Array(16),
})

test('a Deflate bomb is refused', () =>
  refused(small([{ name: 'bytes' }, { name: 'numcodecs.zlib', configuration: { level: 6 } }],
    new Uint8Array(deflateSync(Buffer.alloc(2 ** 28))))))

test('a short stream is refused, not padded', async () => {
  const raw = new Uint8Array(deflateSync(Buffer.alloc(15)))
  await refused(small([{ name: 'bytes' }, { name: 'numcodecs.zlib', configuration: { level: 6 } }], raw))
  await refused(small([{ name: 'bytes' }, { name: 'imagecodecs_packbits' }], Uint8Array.of(244, 1)))
})

/** A frame of Zstandard without checksum: its header, and blocks as `[type, size, content]`. */
function zstdFrame(header, blocks) {
  const parts = [0x28, 0xb5, 0x2f, 0xfd, ...header]
  blocks.forEach(([type, size, ...content], i) => {
    const block = (size << 3) | (type << 1) | (i === blocks.length - 1 ? 1 : 0)
    parts.push(block & 255, (block >> 8) & 255, block >> 16, ...content)
  })
  return Uint8Array.from(parts)
}
const ZSTD = [{ name: 'bytes' }, { name: 'zstd', configuration: { level: 0, checksum: false } }]
const WINDOW_128_MIB = 17 << 3

test('Zstandard bombs are refused', async () => {
  // One byte repeated 128 KiB times, in four bytes of the stream.
  const repeated = Array.from({ length: 20_000 }, () => [1, 131072, 7])
  await refused(small(ZSTD, zstdFrame([0, WINDOW_128_MIB], repeated)))
  // A header that claims 4 GiB.
  await refused(small(ZSTD, zstdFrame([0xa0, 255, 255, 255, 255], [[1, 16, 7]])))
  await refused(small(ZSTD, zstdFrame([0xe0, 255, 255, 255, 255, 255, 255, 255, 0], [[1, 16, 7]])))
  // More than the chunk, but less than the slack.
  await refused(small(ZSTD, zstdFrame([0, WINDOW_128_MIB], [[1, 1000, 7]])))
})

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

test('Zstandard streams that end early are refused', async () => {
  await refused(small(ZSTD, zstdFrame([0, 8], [[1, 15, 7]])))
  await refused(small(ZSTD, zstdFrame([0, 8], [[1, 16, 7]]).slice(0, 9)))
  await refused(small(ZSTD, new Uint8Array(0)))
})

test('uncompressed chunks that do not fill their shape are refused', async () => {
  await refused(small([{ name: 'bytes' }], new Uint8Array(15)))
  await refused(small([{ name: 'bytes' }], new Uint8Array(17)))
  assert.equal((await outcome(small([{ name: 'bytes' }], new Uint8Array(16)))).length, 16)
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

test('headers that claim 65,000 × 65,000 pixels are refused', async () => {
  const claims = {
    imagecodecs_png: (b) => b.set([0, 0, 253, 232, 0, 0, 253, 232], 16),
    imagecodecs_jpeg: (b) => b.set([253, 232, 253, 232], b.findIndex((v, i) => v === 0xff && b[i + 1] === 0xc0) + 5),
    imagecodecs_jpeg2k: (b) => b.set([0, 0, 253, 232, 0, 0, 253, 232], b.findIndex((v, i) => v === 0xff && b[i + 1] === 0x51) + 6),
    imagecodecs_webp: (b) => b.set([255, 255, 255, 15], 21),
  }
  for (const [codec, change] of Object.entries(claims)) {
    const vector = find(codec)
    const encoded = vector.encoded.slice()
    change(encoded)
    await refused({ ...vector, encoded })
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

// A linear congruential generator: the same streams in every run.
function* numbers(seed) {
  for (let n = seed; ; ) {
    n = (Math.imul(n, 1664525) + 1013904223) >>> 0
    yield n
  }
}

test('damaged streams end in an error or a chunk', async () => {
  const random = numbers(14)
  const next = (most) => random.next().value % most
  for (const vector of all) {
    for (let round = 0; round < 12; round++) {
      const encoded = round % 3 === 2 ? vector.encoded.slice(0, next(vector.encoded.length)) : vector.encoded.slice()
      for (let i = 0; i < 1 + next(4) && encoded.length; i++) encoded[next(encoded.length)] = next(256)
      const result = await outcome({ ...vector, encoded, name: `${vector.name}, round ${round}` })
      if (!(result instanceof Error)) assert.equal(result.length, sizeOf(vector), vector.name)
    }
  }
})

test('after all this, good streams decode as before', async () => {
  for (const vector of all) assert.deepEqual(await read(zarr, storeOf(vector)), vector.decoded, vector.name)
})
