// Streams that hold or claim more than their chunk, for Node and Chromium.

import { deflateSync } from 'node:zlib'

/** An array of one chunk of 4 × 4 bytes. */
export const small = (codecs, encoded, data_type = 'uint8') => ({
  codec: codecs.at(-1).name, name: 'small', data_type, chunk_shape: [4, 4], codecs, encoded, decoded: new Uint8Array(16),
})

export const DEFLATE = [{ name: 'bytes' }, { name: 'numcodecs.zlib', configuration: { level: 6 } }]
export const ZSTD = [{ name: 'bytes' }, { name: 'zstd', configuration: { level: 0, checksum: false } }]
const WINDOW_128_MIB = 17 << 3

/** A frame of Zstandard without checksum: its header, and blocks as `[type, size, content]`. */
export function zstdFrame(header, blocks) {
  const parts = [0x28, 0xb5, 0x2f, 0xfd, ...header]
  blocks.forEach(([type, size, ...content], i) => {
    const block = (size << 3) | (type << 1) | (i === blocks.length - 1 ? 1 : 0)
    parts.push(block & 255, (block >> 8) & 255, block >> 16, ...content)
  })
  return Uint8Array.from(parts)
}

/** A progressive JPEG of one component, of `size` × `size`, with as many scans without a coefficient. */
function scans(size, count) {
  const runs = Math.ceil((size / 8) ** 2 / 2 ** 14)
  const scan = (first, last, body) => [255, 218, 0, 8, 1, 1, 0, first, last, 0, ...new Uint8Array(body)]
  const table = (kind, symbol) => [255, 196, 0, 20, kind, 1, ...new Uint8Array(15), symbol]
  return Uint8Array.from([
    255, 216, 255, 219, 0, 67, 0, ...new Uint8Array(64).fill(1),
    255, 194, 0, 11, 8, size >> 8, size & 255, size >> 8, size & 255, 1, 1, 17, 0,
    ...table(0, 0), ...table(16, 0xe0),
    ...scan(0, 0, (size / 8) ** 2 / 8),
    ...Array.from({ length: count }, () => scan(1, 63, Math.ceil((15 * runs) / 8))).flat(),
    255, 217,
  ])
}

// Headers that claim 65,000 × 65,000 pixels, or as many values of each.
const CLAIMS = {
  imagecodecs_png: (b) => b.set([0, 0, 253, 232, 0, 0, 253, 232], 16),
  imagecodecs_jpeg: (b) => b.set([253, 232, 253, 232], b.findIndex((v, i) => v === 0xff && b[i + 1] === 0xc0) + 5),
  imagecodecs_jpeg2k: (b) => b.set([0, 0, 253, 232, 0, 0, 253, 232], b.findIndex((v, i) => v === 0xff && b[i + 1] === 0x51) + 6),
  imagecodecs_lerc: (b) => b.set([255, 255, 255, 7], 22),
  imagecodecs_webp: (b) => b.set([255, 255, 255, 15], 21),
}

/** Bombs, each to be refused; made of the test vectors where a codec has headers. */
export function bombs(vectors) {
  const repeated = Array.from({ length: 20_000 }, () => [1, 131072, 7])
  const jpeg = { name: 'imagecodecs_jpeg', configuration: { colorspace_jpeg: 'GRAYSCALE', colorspace_data: 'GRAYSCALE' } }
  const named = {
    'Deflate of 256 MiB': small(DEFLATE, new Uint8Array(deflateSync(Buffer.alloc(2 ** 28)))),
    'Deflate that is short': small(DEFLATE, new Uint8Array(deflateSync(Buffer.alloc(15)))),
    'PackBits that is short': small([{ name: 'bytes' }, { name: 'imagecodecs_packbits' }], Uint8Array.of(244, 1)),
    // One byte repeated 128 KiB times, in four bytes of the stream.
    'Zstandard of 2.4 GiB': small(ZSTD, zstdFrame([0, WINDOW_128_MIB], repeated)),
    'Zstandard that claims 4 GiB': small(ZSTD, zstdFrame([0xa0, 255, 255, 255, 255], [[1, 16, 7]])),
    'Zstandard that claims 2⁵⁶ bytes': small(ZSTD, zstdFrame([0xe0, ...new Uint8Array(7).fill(255), 0], [[1, 16, 7]])),
    // Less than what headers may say without being refused.
    'Zstandard of 1,000 bytes': small(ZSTD, zstdFrame([0, WINDOW_128_MIB], [[1, 1000, 7]])),
    'Zstandard that is short': small(ZSTD, zstdFrame([0, 8], [[1, 15, 7]])),
    'Zstandard that ends in a block': small(ZSTD, zstdFrame([0, 8], [[1, 16, 7]]).slice(0, 9)),
    'Zstandard that is empty': small(ZSTD, new Uint8Array(0)),
    'samples too few': small([{ name: 'bytes' }], new Uint8Array(15)),
    'samples too many': small([{ name: 'bytes' }], new Uint8Array(17)),
    'JPEG of 5,000 scans': { ...small([jpeg], scans(1024, 5000)), chunk_shape: [1024, 1024], decoded: new Uint8Array(2 ** 20) },
  }
  for (const [codec, claim] of Object.entries(CLAIMS)) {
    const vector = vectors.find((one) => one.codec === codec)
    const encoded = vector.encoded.slice()
    claim(encoded)
    named[`${codec} of 65,000 × 65,000`] = { ...vector, encoded }
  }
  return Object.entries(named).map(([name, vector]) => ({ ...vector, name }))
}

// A linear congruential generator: the same streams in every run.
function* numbers(seed) {
  for (let n = seed; ; ) {
    n = (Math.imul(n, 1664525) + 1013904223) >>> 0
    yield n
  }
}

/** Damaged copies of vectors: changed bytes, and streams that end early. */
export function* damaged(vectors, rounds) {
  const random = numbers(14)
  const next = (most) => random.next().value % most
  for (const vector of vectors) {
    for (let round = 0; round < rounds; round++) {
      const encoded = round % 3 === 2 ? vector.encoded.slice(0, next(vector.encoded.length)) : vector.encoded.slice()
      for (let i = 0; i < 1 + next(4) && encoded.length; i++) encoded[next(encoded.length)] = next(256)
      yield { ...vector, encoded, name: `${vector.name}, round ${round}` }
    }
  }
}
