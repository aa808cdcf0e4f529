// .xz containers with LZMA2 (the .xz file format 1.2.0), after delta filters: what libtiff writes.

import { isCRC } from './crc.js'
import { LZMA2 } from './lzma2.js'

const MAGIC = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]
const CHECK_BYTES = [0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64]
const [CRC32, CRC64] = [1, 4]
const [DELTA, LZMA2_FILTER] = [3, 0x21]

/** Decode at most `limit` bytes, or fail. Checksums are compared, but SHA-256, which no writer of TIFFs has. */
export function decodeXZ(data, limit) {
  if (MAGIC.some((byte, i) => data[i] !== byte)) throw new Error('LZMA: no .xz stream')
  if (!isCRC(data.subarray(8, 12), data.subarray(6, 8))) throw new Error('LZMA: a wrong checksum')
  const lzma = new LZMA2(limit)
  let at = 12
  while (at < data.length && data[at] !== 0) {
    const { deltas, end } = blockHeader(data, at)
    const first = lzma.size
    const stop = lzma.decode(data, end)
    const out = lzma.out.subarray(first, lzma.size)
    for (const distance of deltas.reverse()) {
      for (let i = distance; i < out.length; i++) out[i] += out[i - distance]
    }
    at += Math.ceil((stop - at) / 4) * 4
    const kind = data[7] & 15
    const check = data.subarray(at, (at += CHECK_BYTES[kind]))
    if (at > data.length) throw new Error('LZMA: the stream ends early')
    if ((kind === CRC32 || kind === CRC64) && !isCRC(check, out)) throw new Error('LZMA: a wrong checksum')
  }
  return lzma.out.subarray(0, lzma.size)
}

/** Distances of delta filters, and where the header ends. */
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
  if (flags & 0x40) number()
  if (flags & 0x80) number()
  const deltas = []
  let found = false
  for (let i = 0; i <= (flags & 3); i++) {
    const id = number()
    const size = number()
    if (id === DELTA) deltas.push(data[at] + 1)
    else if (id === LZMA2_FILTER) found = true
    else throw new Error(`LZMA: filter ${id} is not supported`)
    at += size
  }
  if (!found) throw new Error('LZMA: block without LZMA2')
  return { deltas, end }
}
