// .xz containers with LZMA2 (the .xz file format 1.2.0), after delta filters: what libtiff writes.

import { crc32, isCRC } from './crc.js'
import { LZMA2 } from './lzma2.js'

const MAGIC = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]
const CHECK_BYTES = [0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64]
const HEADER_BYTES = 12
const [CRC32, CRC64] = [1, 4]
const [DELTA, LZMA2_FILTER] = [3, 0x21]
/** Descriptor of a dictionary of 4 GiB. */
const MOST_DICTIONARY = 40

/** Decode at most `limit` bytes, or fail. Checksums are compared, but SHA-256, which no writer of TIFFs has. */
export function decodeXZ(data, limit) {
  if (MAGIC.some((byte, i) => data[i] !== byte)) throw new Error('LZMA: no .xz stream')
  if (!isCRC(data.subarray(8, 12), data.subarray(6, 8))) throw new Error('LZMA: a wrong checksum')
  const lzma = new LZMA2(limit)
  const records = []
  let at = HEADER_BYTES
  while (at < data.length && data[at] !== 0) {
    const { deltas, packed, unpacked, end } = blockHeader(data, at)
    const [first, start] = [lzma.size, at]
    lzma.begin()
    const stop = lzma.decode(data, end)
    const out = lzma.out.subarray(first, lzma.size)
    for (const distance of deltas.reverse()) {
      for (let i = distance; i < out.length; i++) out[i] += out[i - distance]
    }
    at += Math.ceil((stop - at) / 4) * 4
    if (data.subarray(stop, at).some((byte) => byte !== 0)) throw new Error('LZMA: a bad block')
    const kind = data[7] & 15
    const check = data.subarray(at, (at += CHECK_BYTES[kind]))
    if (at > data.length) throw new Error('LZMA: the stream ends early')
    if ((kind === CRC32 || kind === CRC64) && !isCRC(check, out)) throw new Error('LZMA: a wrong checksum')
    if ((packed ?? stop - end) !== stop - end || (unpacked ?? out.length) !== out.length) throw new Error('LZMA: a bad block')
    records.push(stop - start + check.length, out.length)
  }
  const tail = tailOf(records, data.subarray(6, 8))
  if (tail.some((byte, n) => data[at + n] !== byte)) throw new Error('LZMA: a bad index or footer')
  const rest = data.subarray(at + tail.length)
  // Python ignores what is no stream, but waits for a header.
  if (rest.length > 0 && (rest.length < HEADER_BYTES || MAGIC.every((byte, i) => rest[i] === byte))) {
    throw new Error('LZMA: more than one stream')
  }
  return lzma.out.subarray(0, lzma.size)
}

const word = (value) => [0, 8, 16, 24].map((shift) => (value >>> shift) & 255)

/** A number in as many bytes of 7 bits as it takes (section 1.2). */
function multibyte(value) {
  const bytes = []
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push((value % 128) | 128)
  return [...bytes, value]
}

/** Index and footer of a stream (sections 2.1.2 and 4): `records` has two sizes of each block. */
function tailOf(records, flags) {
  const index = [0, ...multibyte(records.length / 2), ...records.flatMap(multibyte)]
  while (index.length % 4) index.push(0)
  const end = [...word(index.length / 4), ...flags]
  return [...index, ...word(crc32(index)), ...word(crc32(end)), ...end, 0x59, 0x5a]
}

/** Distances of delta filters, sizes as far as they are there, and where the header ends. */
function blockHeader(data, start) {
  const end = start + (data[start] + 1) * 4
  const flags = data[start + 1]
  if (!isCRC(data.subarray(end - 4, end), data.subarray(start, end - 4))) throw new Error('LZMA: a wrong checksum')
  let at = start + 2
  const number = () => {
    for (let value = 0, factor = 1; at < end; factor *= 128) {
      const byte = data[at++]
      value += (byte & 127) * factor
      if (byte < 128) return value
    }
    throw new Error('LZMA: bad block header')
  }
  if (flags & 0x3c) throw new Error('LZMA: bad block header')
  const packed = flags & 0x40 ? number() : undefined
  const unpacked = flags & 0x80 ? number() : undefined
  const deltas = []
  let found = false
  for (let i = 0; i <= (flags & 3); i++) {
    const id = number()
    const size = number()
    if (id === DELTA) deltas.push(data[at] + 1)
    else if (id === LZMA2_FILTER && i === (flags & 3) && size === 1 && data[at] <= MOST_DICTIONARY) found = true
    else throw new Error(`LZMA: filter ${id} is not supported`)
    at += size
  }
  if (!found) throw new Error('LZMA: block without LZMA2')
  return { deltas, packed, unpacked, end }
}
