// Old-style JPEG (TIFF 6.0 section 22), as libtiff reads it (tif_ojpeg.c): headers from the stream at
// JPEGInterchangeFormat or from the first segment, else from tables that tags refer to; then the segments as
// one scan, with a restart marker after each.

import { joined } from '../bytes.js'
import { decodePlanes } from '../jpeg/index.js'

const [SOI, SOS, DHT, DQT, DRI, SOF0, EOI] = [0xd8, 0xda, 0xc4, 0xdb, 0xdd, 0xc0, 0xd9]
const short = (n) => [n >> 8, n & 255]
const marker = (code, ...data) => [0xff, code, ...short(data.length + 2), ...data]

/** Decode to planes of components; `limit`: most samples of a plane, padded. */
export function decodeOldJPEG(tags, bytes, image, limit) {
  if (tags(512, [1])[0] !== 1) throw new Error('TIFF: old-style JPEG other than baseline')
  const parts = []
  const interchange = tags(513, [0])[0]
  if (interchange) {
    const length = tags(514, [0])[0] || bytes.length - interchange
    parts.push({ data: bytes.subarray(interchange, interchange + length) })
  }
  for (const { data } of image.segments) parts.push({ data, restarts: true })
  if (parts.reduce((size, { data }) => size + data.length, 0) > 2 * bytes.length) {
    throw new RangeError('TIFF: segments that overlap')
  }
  const found = headers(parts)
  const vertical = found.vertical ?? (tags(277, [1])[0] === 1 ? 1 : tags(530, [2, 2])[1])
  const horizontal = found.horizontal ?? (tags(277, [1])[0] === 1 ? 1 : tags(530, [2, 2])[0])
  const stream = [[0xff, SOI], ...found.kept]
  if (!found.hasTables) stream.push(...tables(tags, bytes))
  let restart = found.restart ?? tags(515, [0])[0]
  if (image.rows < image.height) {
    if (image.rows % (8 * vertical)) throw new Error('TIFF: old-style JPEG with strips that end within a block')
    restart = Math.ceil(image.columns / (8 * horizontal)) * (image.rows / (8 * vertical))
  }
  if (restart) stream.push(marker(DRI, ...short(restart)))
  stream.push(found.frame ?? frame(tags, image, horizontal, vertical))
  stream.push(found.scan ?? scan(tags))
  let number = 0
  parts.forEach(({ data, restarts }, n) => {
    stream.push(n === found.part ? data.subarray(found.at) : n < found.part ? [] : data)
    if (restarts) stream.push([0xff, 0xd0 + (number++ & 7)])
  })
  stream.push([0xff, EOI])
  return decodePlanes(joined(stream), limit)
}

/** Headers of the stream up to its scan, and where that begins. */
function headers(parts) {
  const found = { kept: [], hasTables: false, part: 0, at: 0 }
  const { data } = parts[0]
  let at = 0
  while (at + 1 < data.length && data[at] === 0xff) {
    const code = data[at + 1]
    if (code === 0xff) at++
    else if (code === SOI) at += 2
    else {
      const end = at + 2 + ((data[at + 2] << 8) | data[at + 3])
      if (!(end > at + 3 && end <= data.length)) throw new Error('TIFF: old-style JPEG with a damaged header')
      const whole = data.subarray(at, end)
      if (code === SOS) found.scan = whole
      else if (code === DRI) found.restart = (data[at + 4] << 8) | data[at + 5]
      else if (code >= SOF0 && code <= 0xcf && code !== DHT && code !== 0xc8 && code !== 0xcc) {
        found.frame = whole
        ;[found.horizontal, found.vertical] = [data[at + 11] >> 4, data[at + 11] & 15]
      } else if (code === DHT || code === DQT) {
        found.kept.push(whole)
        found.hasTables = true
      }
      at = end
      if (code === SOS) break
    }
  }
  found.at = at
  return found
}

/** Tables that the tags 519 to 521 refer to. */
function tables(tags, bytes) {
  const part = (tag, read) => tags(tag, []).map((offset, n) => marker(...read(offset, n)))
  const codes = (kind) => (offset, n) => {
    const counts = bytes.subarray(offset, offset + 16)
    const total = counts.reduce((a, b) => a + b, 0)
    return [DHT, kind | n, ...bytes.subarray(offset, offset + 16 + Math.min(total, 256))]
  }
  return [
    ...part(519, (offset, n) => [DQT, n, ...bytes.subarray(offset, offset + 64)]),
    ...part(520, codes(0)),
    ...part(521, codes(16)),
  ]
}

const componentsOf = (tags) => Array.from({ length: tags(277, [1])[0] }, (_, n) => n)

function frame(tags, image, horizontal, vertical) {
  const components = componentsOf(tags)
  const height = Math.ceil(image.height / image.rows) * image.rows
  const factors = (n) => (n === 0 ? (horizontal << 4) | vertical : 0x11)
  const parts = components.flatMap((n) => [n + 1, factors(n), n])
  return marker(SOF0, 8, ...short(height), ...short(image.columns), components.length, ...parts)
}

function scan(tags) {
  const components = componentsOf(tags)
  return marker(SOS, components.length, ...components.flatMap((n) => [n + 1, (n << 4) | n]), 0, 63, 0)
}
