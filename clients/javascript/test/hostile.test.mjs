// Streams that claim or hold more than their chunk, and damaged ones: an error or the chunk, soon.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { deflateSync } from 'node:zlib'

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

test('LZW and PackBits that go on after their chunk are refused, in its memory', async () => {
  // Old-style LZW: a clear code, then zeros without end.
  const zeros = new Uint8Array(1 << 20)
  zeros.set([0, 1])
  await refused(small([{ name: 'bytes' }, { name: 'imagecodecs_lzw' }], zeros))
  await refused(small([{ name: 'bytes' }, { name: 'imagecodecs_packbits' }], new Uint8Array(1 << 20).fill(129)))
})

test('LZMA with a wrong checksum is refused', async () => {
  const vectors = all.filter(({ codec }) => codec === 'numcodecs.lzma')
  for (const vector of vectors.filter(({ encoded }) => (encoded[7] & 15) !== 0)) {
    // The check is before the index, which begins with a zero.
    const footer = vector.encoded.length - 12
    const index = footer - 4 * (new DataView(vector.encoded.buffer, vector.encoded.byteOffset).getUint32(footer + 4, true) + 1)
    const encoded = vector.encoded.slice()
    encoded[index - 1] ^= 1
    await refused({ ...vector, encoded })
  }
})

test('JPEG that ends early has grey where libjpeg has it', async () => {
  const { encoded } = find('imagecodecs_jpeg', 'grey')
  const vector = { ...find('imagecodecs_jpeg', 'grey'), encoded: encoded.slice(0, encoded.length - 60) }
  const result = await outcome(vector)
  assert.deepEqual([...result.slice(-21)], new Array(21).fill(128))
})

test('JPEG with markers, tables or headers that libjpeg refuses is refused', async () => {
  const vector = find('imagecodecs_jpeg', 'YCbCr 420')
  const at = (marker) => vector.encoded.findIndex((byte, n, bytes) => byte === 0xff && bytes[n + 1] === marker)
  for (const [place, value] of [
    [0, 0], [at(0xdb) + 1, 2], [at(0xdb) + 4, 4], [at(0xdb) + 3, 9], [at(0xc4) + 4, 9], [at(0xc4) + 5, 9], [at(0xda) + 3, 7],
  ]) {
    const encoded = vector.encoded.slice()
    encoded[place] = value
    await refused({ ...vector, encoded })
  }
})

test('images of another size than the chunk are refused before they are decoded', async () => {
  const images = all.filter(({ codecs }) => /_(png|jpeg|jpeg2k|jpegxl|jpegxr|webp|lerc)$/.test(codecs.at(-1).name))
  for (const vector of images) {
    const shape = vector.chunk_shape.map((n, i) => (i === 0 ? n + 8 : n))
    await refused({ ...vector, chunk_shape: shape })
  }
})

test('JPEG 2000 whose packets end after their tile is refused, not read from elsewhere', async () => {
  const vector = find('imagecodecs_jpeg2k', 'RGBA, uint8')
  const start = vector.encoded.findIndex((byte, at, all) => byte === 0xff && all[at + 1] === 0x93) + 2
  for (const end of [start + 20, vector.encoded.length - 20]) {
    const encoded = vector.encoded.slice(0, end)
    // To the end of the stream.
    encoded.fill(0, start - 8, start - 4)
    await refused({ ...vector, encoded })
  }
})

test('a decoder that failed does not make other pixels of the next stream', async () => {
  const good = all.filter(({ codec }) => codec === 'imagecodecs_jpeg2k')
  const failing = { ...good[0], encoded: good[0].encoded.slice() }
  // Number of resolutions (COD).
  failing.encoded[failing.encoded.findIndex((byte, i, all) => byte === 0xff && all[i + 1] === 0x52) + 9] = 255
  for (let round = 0; round < 8; round++) {
    const error = await outcome(failing)
    assert.match(`${error.message} ${error.cause?.message}`, /JPEG 2000: 0 × 0 × 0 samples/)
    for (const vector of good) assert.deepEqual(await read(zarr, storeOf(vector)), vector.decoded, vector.name)
  }
})

test('JPEG XL that ends early is an error, not what is there of it', async () => {
  const vectors = all.filter(({ codec }) => codec === 'imagecodecs_jpegxl')
  for (const { encoded, ...vector } of vectors) {
    for (const part of [0.6, 0.9]) await refused({ ...vector, encoded: encoded.slice(0, part * encoded.length) })
  }
})

test('JPEG XL of one row is refused if it is lossy, not read as other samples', async () => {
  const stream =
    '/woAAA6ApLgRABOIAgD0ALWfIAAAFSqjjBu8nOv58kOHxbSN6wxttW1hCWOzvTBISDhLoG3GgUEKlSRSI+4mOAB0gqIJuBgA608AoAU='
  const bytes = new Uint8Array(Buffer.from(stream, 'base64'))
  const error = await outcome({ ...small([{ name: 'imagecodecs_jpegxl' }], bytes), chunk_shape: [1, 8] })
  assert.match(`${error.message} ${error.cause?.message}`, /lossy images of one row/)
})

test('JPEG XR whose alpha has another size is refused', async () => {
  const vector = find('imagecodecs_jpegxr', 'RGBA, uint8')
  const second = vector.encoded.findLastIndex((_, at, all) => String.fromCharCode(...all.subarray(at, at + 7)) === 'WMPHOTO')
  for (const side of [second + 12, second + 14]) {
    const encoded = vector.encoded.slice()
    encoded[side] = 255
    await refused({ ...vector, encoded })
  }
})

const wholeTIFF = (name) => find('imagecodecs_tiff', name)
/** A copy whose entry of a tag has another value. */
function withTag(vector, tag, value) {
  const encoded = vector.encoded.slice()
  const view = new DataView(encoded.buffer)
  const directory = view.getUint32(4, true)
  for (let n = 0; n < view.getUint16(directory, true); n++) {
    const entry = directory + 2 + 12 * n
    if (view.getUint16(entry, true) === tag) view.setUint32(entry + 8, value, true)
  }
  return { ...vector, encoded }
}

test('what a whole TIFF has and is not decoded is refused by its name', async () => {
  const vector = wholeTIFF('YCbCr 2, 2')
  for (const [tag, value, reason] of [
    [259, 32771, /imagecodecs_tiff: compression 32771 is not supported/],
    [530, 0x40004, /imagecodecs_tiff: subsampling 4, 4 is not supported/],
  ]) {
    const error = await outcome(withTag(vector, tag, value))
    assert.match(`${error.message} ${error.cause?.message}`, reason)
  }
})

test('whole TIFFs whose directories or segments are not there are refused', async () => {
  const vector = wholeTIFF('YCbCr 2, 2')
  const directory = new DataView(vector.encoded.buffer).getUint32(4, true)
  const circle = vector.encoded.slice()
  const view = new DataView(circle.buffer)
  view.setUint32(directory + 2 + 12 * view.getUint16(directory, true), directory, true)
  const far = [{ name: 'imagecodecs_tiff', configuration: { index: 2 ** 31 } }]
  await refused({ ...vector, encoded: circle, codecs: far })
  await refused({ ...vector, codecs: [{ name: 'imagecodecs_tiff', configuration: { index: 1 } }] })
  for (const [tag, value] of [[256, 65000], [257, 65000], [278, 1], [273, 2 ** 31]]) {
    await refused(withTag(vector, tag, value))
  }
  await refused({ ...vector, encoded: vector.encoded.slice(0, 30) })
})

test('planes of one pixel whose tiles are millions are refused before they are decoded', async () => {
  const planes = 20000
  const { encoded } = wholeTIFF('LERC with a mask')
  const entries = [
    [256, 1], [257, 1], [258, 32], [259, 34887], [277, planes], [284, 2], [322, 2048], [323, 2048], [339, 3],
  ]
  const bytes = new Uint8Array(8 + 2 + 12 * (entries.length + 2) + 4 + 4 * planes + encoded.length)
  const view = new DataView(bytes.buffer)
  const table = bytes.length - encoded.length - 4 * planes
  view.setUint32(0, 0x002a4949, true)
  view.setUint32(4, 8, true)
  view.setUint16(8, entries.length + 2, true)
  for (const [n, [tag, value, count = 1]] of [...entries, [324, table, planes], [325, table, planes]].entries()) {
    const at = 10 + 12 * n
    view.setUint16(at, tag, true)
    view.setUint16(at + 2, 4, true)
    view.setUint32(at + 4, count, true)
    view.setUint32(at + 8, value, true)
  }
  for (let n = 0; n < planes; n++) view.setUint32(table + 4 * n, 100, true)
  const chain = [{ name: 'imagecodecs_tiff', configuration: { index: 0 } }]
  const error = await outcome({ ...small(chain, bytes, 'float32'), chunk_shape: [planes, 1, 1] })
  assert.match(`${error.message} ${error.cause?.message}`, /20000 segments of 2048 × 2048/)
})

test('packed samples of whole words are little-endian, as imagecodecs takes them', async () => {
  const codecs = [{ name: 'imagecodecs_packints', configuration: { bitspersample: 16, runlen: 2 } }]
  const vector = { ...small(codecs, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8), 'uint16'), chunk_shape: [2, 2] }
  assert.deepEqual([...(await outcome(vector))], [1, 2, 3, 4, 5, 6, 7, 8])
})

const deflated = () => find('numcodecs.zlib')

test('bytes after a Deflate stream are ignored, and one without its checksum is refused', async () => {
  const vector = deflated()
  for (const count of [1, 100]) {
    const encoded = new Uint8Array([...vector.encoded, ...new Array(count).fill(7)])
    assert.deepEqual(await outcome({ ...vector, encoded }), vector.decoded)
  }
  for (const count of [1, 4]) await refused({ ...vector, encoded: vector.encoded.slice(0, -count) })
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

test('large PNG and JPEG are decoded straight into the chunk', { skip: process.platform !== 'linux' }, async () => {
  const script = fileURLToPath(new URL('peak.mjs', import.meta.url))
  for (const name of ['png', 'jpeg']) {
    const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', script, name])
    // PNG leaves pieces to the garbage collector: 24 at most. With copies of all samples, 79 and 36.
    assert.ok(Number(stdout) < (name === 'png' ? 56 : 24), `${name}: ${stdout} MiB`)
  }
})

test('LERC of versions 3 to 5 without masks needs no WebAssembly, and its checksum is compared', async () => {
  const registry = new Map()
  register(registry, { wasm: () => assert.fail('a WebAssembly file is read') })
  const vectors = all.filter(({ codec, codecs }) => codec === 'imagecodecs_lerc' && codecs.length === 1)
  assert.ok(vectors.length > 5)
  for (const vector of vectors) {
    const { fromConfig } = await registry.get(vector.codec)()
    const { decode } = fromConfig({}, { shape: vector.chunk_shape, codecs: vector.codecs, dataType: vector.data_type })
    assert.deepEqual(new Uint8Array((await decode(vector.encoded)).data.buffer), vector.decoded, vector.name)
    const encoded = vector.encoded.slice()
    encoded[encoded.length - 1] ^= 1
    await assert.rejects(decode(encoded), /LERC: damaged stream/)
  }
})

const appended = (vector, ...bytes) => ({ ...vector, encoded: Uint8Array.from([...vector.encoded, ...bytes]) })
const changed = (vector, at, value) => ({ ...vector, encoded: vector.encoded.with(at, value) })

test('raw and packed samples that bytes follow are refused, as in Python', async () => {
  await refused({ ...small([{ name: 'bytes' }], new Uint8Array(33), 'uint16') })
  const packed = find('imagecodecs_packints', '1 bits')
  assert.deepEqual(packed.chunk_shape, [5, 7])
  await refused(appended(packed, 0))
  // Less than a row of 11 bytes.
  const wide = find('imagecodecs_packints', '12 bits')
  assert.deepEqual(await outcome(appended(wide, 1, 2)), wide.decoded)
  await refused(appended(wide, ...new Array(11).fill(0)))
})

test('a surplus byte of a compressed stream before packed samples is ignored, as in Python', async () => {
  // Strips of Photoshop end with it: the codec of packed samples is there to cut it.
  for (const [bitspersample, type, size] of [[8, 'uint8', 6], [16, 'uint16', 12], [4, 'uint8', 3]]) {
    const codecs = [
      { name: 'imagecodecs_packints', configuration: { bitspersample, runlen: 6 } },
      { name: 'numcodecs.zlib', configuration: { level: 6 } },
    ]
    const vector = (extra) =>
      ({ ...small(codecs, deflateSync(Uint8Array.from({ length: size + extra }, (_, i) => i)), type), chunk_shape: [2, 3] })
    const expected = await outcome(vector(0))
    assert.deepEqual(await outcome(vector(1)), expected)
    assert.deepEqual(await outcome(vector(size - 1)), expected)
    await refused(vector(size))
    await refused(vector(-1))
  }
})

test('EER is of words of 16 bits, as in Python', async () => {
  const vector = find('imagecodecs_eer', '8 bits')
  await refused({ ...vector, encoded: vector.encoded.slice(0, -1) })
  assert.equal((await outcome({ ...vector, encoded: vector.encoded.slice(0, -2) })).length, sizeOf(vector))
})

test('PNG with a wrong checksum or without its end is refused; what follows the pixels is not read', async () => {
  for (const vector of all.filter(({ codec }) => codec === 'imagecodecs_png')) {
    const end = vector.encoded.length - 12
    for (const at of [0, 4, 26, 29, end - 1]) await refused(changed(vector, at, vector.encoded[at] ^ 1))
    await refused({ ...vector, encoded: vector.encoded.slice(0, end - 1) })
    assert.deepEqual(await outcome({ ...vector, encoded: vector.encoded.slice(0, end) }), vector.decoded, vector.name)
  }
})

test('LZMA whose index or footer is damaged, or that another stream follows, is refused', async () => {
  for (const vector of all.filter(({ codec }) => codec === 'numcodecs.lzma')) {
    const { length } = vector.encoded
    for (const back of [1, 2, 3, 8, 12, 13, 17]) {
      await refused(changed(vector, length - back, vector.encoded[length - back] ^ 1))
    }
    await refused({ ...vector, encoded: vector.encoded.slice(0, -12) })
    await refused(appended(vector, 7))
    await refused(appended(vector, ...vector.encoded))
    assert.deepEqual(await outcome(appended(vector, ...new Array(12).fill(7))), vector.decoded, vector.name)
  }
})

test('lossless JPEG that ends early has grey in whole rows, as libjpeg has it', async () => {
  const vector = find('imagecodecs_jpeg', 'lossless, predictor 1')
  const result = await outcome({ ...vector, encoded: vector.encoded.slice(0, 81) })
  const [height, width] = vector.chunk_shape
  const left = (height - 1) * width
  assert.ok(vector.decoded.slice(-left).some((value) => value !== 128))
  assert.deepEqual([...result.slice(-left)], new Array(left).fill(128))
})

test('JPEG without Huffman tables has those of the standard', async () => {
  const vector = find('imagecodecs_jpeg', 'YCbCr 420')
  const kept = []
  for (let at = 2; ;) {
    const end = at + 2 + ((vector.encoded[at + 2] << 8) | vector.encoded[at + 3])
    if (vector.encoded[at + 1] === 0xda) {
      kept.push(...vector.encoded.slice(at))
      break
    }
    if (vector.encoded[at + 1] !== 0xc4) kept.push(...vector.encoded.slice(at, end))
    at = end
  }
  assert.ok(kept.length < vector.encoded.length - 400)
  assert.deepEqual(await outcome({ ...vector, encoded: Uint8Array.from([0xff, 0xd8, ...kept]) }), vector.decoded)
})

test('JPEG with a scan after that of all components is refused', async () => {
  const vector = find('imagecodecs_jpeg', 'YCbCr 420')
  const scan = vector.encoded.findIndex((byte, at, all) => byte === 0xff && all[at + 1] === 0xda)
  const encoded = Uint8Array.from([...vector.encoded.slice(0, -2), ...vector.encoded.slice(scan)])
  await refused({ ...vector, encoded })
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
