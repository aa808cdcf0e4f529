// WebP (RFC 9649), in memory that is that of its samples and a little: libwebp's build for JavaScript has four copies.

import { check, sizeOfWebP, text, viewOf } from '../headers.js'
import { toRGB } from './colour.js'
import { sizeOfFrame } from './header.js'
import { decodeLossless } from './lossless.js'
import { decodeFrame } from './lossy.js'

const damaged = (what) => new RangeError(`WebP: ${what}`)
/** A lossless stream begins with a byte, size and version. */
const LOSSLESS_HEADER = 5

/** Chunks of the file that have samples, by type. */
function chunksOf(bytes) {
  const view = viewOf(bytes)
  const end = 8 + view.getUint32(4, true)
  if (end > bytes.length || end < 20) throw damaged('the stream ends early')
  const chunks = {}
  for (let at = 12; at + 8 <= end;) {
    const [type, size] = [text(bytes, at, 4), view.getUint32(at + 4, true)]
    if (at + 8 + size > end) throw damaged('the stream ends early')
    chunks[type] = bytes.subarray(at + 8, at + 8 + size)
    if (type === 'VP8 ' || type === 'VP8L') break
    at += 8 + size + (size & 1)
  }
  return chunks
}

/** Undo the filter of a row of alpha (section 2.7.1.2). */
function unfilter(kind, row, above) {
  if (kind === 0) return
  for (let x = 0; x < row.length; x++) {
    const left = x > 0 ? row[x - 1] : (above?.[0] ?? 0)
    if (!above || kind === 1) row[x] += left
    else if (kind === 2) row[x] += above[x]
    else row[x] += x === 0 ? above[0] : Math.max(0, Math.min(255, left + above[x] - above[x - 1]))
  }
}

/** Write the alpha of a lossy image to the fourth samples of `out` (section 2.7.1.2). */
function decodeAlpha(chunk, width, height, out) {
  const [method, filter, processing, reserved] = [0, 2, 4, 6].map((shift) => (chunk[0] >> shift) & 3)
  if (chunk.length < 2 || method > 1 || processing > 1 || reserved > 1) throw damaged('damaged alpha')
  let [row, above] = [new Uint8Array(width), undefined]
  const put = (y) => {
    unfilter(filter, row, above)
    for (let x = 0; x < width; x++) out[4 * (y * width + x) + 3] = row[x]
    ;[row, above] = [above ?? new Uint8Array(width), row]
  }
  if (method === 0) {
    if (chunk.length < 1 + width * height) throw damaged('alpha ends early')
    for (let y = 0; y < height; y++) {
      row.set(chunk.subarray(1 + y * width, 1 + (y + 1) * width))
      put(y)
    }
  } else {
    decodeLossless(chunk, 1, width, height, (pixels, y) => {
      pixels.forEach((pixel, x) => (row[x] = pixel >>> 8))
      put(y)
    })
  }
}

/** Write the pixels of a lossless image to `out`. */
function decodePixels(chunk, width, height, out, samples) {
  decodeLossless(chunk, LOSSLESS_HEADER, width, height, (pixels, y) => {
    for (let x = 0, at = y * width * samples; x < width; x++, at += samples) {
      const pixel = pixels[x]
      out[at] = pixel >>> 16
      out[at + 1] = pixel >>> 8
      out[at + 2] = pixel
      if (samples === 4) out[at + 3] = pixel >>> 24
    }
  })
}

/** Decode an image to RGB, or with `alpha` to RGBA. */
export function decodeWebP(bytes, expected, alpha) {
  const samples = alpha ? 4 : 3
  const size = sizeOfWebP(bytes)
  check('WebP', size, samples, expected)
  const { width, height } = size
  const { 'VP8 ': frame, VP8L: lossless, ALPH: plane } = chunksOf(bytes)
  const stream = lossless ?? frame
  if (!stream) throw damaged('no image')
  const own = lossless ? sizeOfLossless(lossless) : sizeOfFrame(frame)
  if (own.width !== width || own.height !== height) throw damaged(`an image of ${own.height} × ${own.width}`)
  const data = new Uint8Array(expected)
  if (lossless) decodePixels(lossless, width, height, data, samples)
  else {
    toRGB(decodeFrame(frame), data, samples)
    if (alpha && plane) decodeAlpha(plane, width, height, data)
    else if (alpha) for (let at = 3; at < data.length; at += 4) data[at] = 255
  }
  return { data }
}

function sizeOfLossless(bytes) {
  if (bytes.length < LOSSLESS_HEADER || bytes[0] !== 0x2f) throw damaged('damaged stream')
  const bits = viewOf(bytes).getUint32(1, true)
  if (bits >>> 29) throw damaged(`version ${bits >>> 29}`)
  return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 }
}
