// PNG (ISO/IEC 15948) of 8 and 16 bits and below, of every colour type, interlaced or not.

import { crc32 } from './crc.js'
import { inflatePieces } from './deflate.js'

const SAMPLES = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 }
const ADAM7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
]

/** Undo the filter of a row, in place; `above` is the row before it, or zeros. */
function unfilter(kind, row, above, step) {
  const size = row.length
  if (kind === 1) for (let i = step; i < size; i++) row[i] += row[i - step]
  else if (kind === 2) for (let i = 0; i < size; i++) row[i] += above[i]
  else if (kind === 3) {
    for (let i = 0; i < step; i++) row[i] += above[i] >> 1
    for (let i = step; i < size; i++) row[i] += (row[i - step] + above[i]) >> 1
  } else if (kind === 4) {
    for (let i = 0; i < step; i++) row[i] += above[i]
    for (let i = step; i < size; i++) {
      const [a, b, c] = [row[i - step], above[i], above[i - step]]
      const [pa, pb, pc] = [Math.abs(b - c), Math.abs(a - c), Math.abs(a + b - 2 * c)]
      row[i] += pa <= pb && pa <= pc ? a : pb <= pc ? b : c
    }
  } else if (kind !== 0) throw new Error(`PNG: filter ${kind}`)
}

/** Takes the decoded bytes of passes, piece by piece, and gives `put` each row with its filter undone. */
class Rows {
  constructor(passes, step, put) {
    Object.assign(this, { passes, step, put, pass: -1 })
    this.nextPass()
  }

  nextPass() {
    const pass = this.passes[++this.pass]
    this.isDone = pass === undefined
    if (this.isDone) return
    this.y = 0
    // The number of the filter is before the row.
    this.row = new Uint8Array(1 + pass.rowBytes)
    this.above = new Uint8Array(1 + pass.rowBytes)
    this.filled = 0
  }

  take(bytes) {
    for (let at = 0; at < bytes.length && !this.isDone; ) {
      const part = bytes.subarray(at, at + this.row.length - this.filled)
      this.row.set(part, this.filled)
      this.filled += part.length
      at += part.length
      if (this.filled === this.row.length) this.end()
    }
  }

  end() {
    const pass = this.passes[this.pass]
    const row = this.row.subarray(1)
    unfilter(this.row[0], row, this.above.subarray(1), this.step)
    this.put(row, pass, this.y)
    ;[this.row, this.above, this.filled] = [this.above, this.row, 0]
    if (++this.y === pass.h) this.nextPass()
  }
}

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]
const [IHDR, PLTE, IDAT] = [0x49484452, 0x504c5445, 0x49444154]
/** Of the names of chunks that a decoder may skip: a small letter is first (section 5.4). */
const ANCILLARY = 0x20000000

/** Header, palette and compressed parts of a stream. */
function parse(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < 33 || SIGNATURE.some((byte, n) => bytes[n] !== byte) || view.getUint32(12) !== IHDR) {
    throw new Error('PNG: no PNG stream')
  }
  const [width, height] = [view.getUint32(16), view.getUint32(20)]
  const [depth, colour, , , interlaced] = bytes.subarray(24, 29)
  const samples = SAMPLES[colour]
  if (!samples || ![1, 2, 4, 8, 16].includes(depth)) {
    throw new Error(`PNG: colour type ${colour} of ${depth} bits`)
  }
  let palette
  const parts = []
  // What follows the pixels is not read, as by imagecodecs.
  for (let at = 8; at + 12 <= bytes.length || parts.length === 0; ) {
    const [size, type] = at + 12 <= bytes.length ? [view.getUint32(at), view.getUint32(at + 4)] : [Infinity]
    if (parts.length && type !== IDAT) break
    const end = at + 8 + size
    if (end + 4 > bytes.length) throw new Error('PNG: the stream ends early')
    const body = bytes.subarray(at + 8, end)
    if (!(type & ANCILLARY) && crc32(bytes.subarray(at + 4, end)) !== view.getUint32(end)) {
      throw new Error('PNG: a wrong checksum')
    }
    if (type === PLTE) palette = body
    else if (type === IDAT) parts.push(body)
    at = end + 4
  }
  return { width, height, depth, colour, samples, interlaced, palette, parts }
}

/** Samples: Uint8Array or Uint16Array, interleaved; `expected` is their number. */
export async function decodePNG(bytes, expected) {
  const png = parse(bytes)
  const { width, height, depth, colour, samples } = png
  const delivered = colour === 3 ? 3 : samples
  if (width * height * delivered !== expected) {
    throw new RangeError(`PNG: ${height} × ${width} × ${delivered} samples for a chunk of ${expected}`)
  }
  const passes = (png.interlaced ? ADAM7 : [[0, 0, 1, 1]])
    .map(([x0, y0, dx, dy]) => {
      const [w, h] = [Math.ceil((width - x0) / dx), Math.ceil((height - y0) / dy)]
      return { x0, y0, dx, dy, w, h, rowBytes: Math.ceil((w * samples * depth) / 8) }
    })
    .filter(({ w, h }) => w > 0 && h > 0)
  const size = passes.reduce((n, { h, rowBytes }) => n + h * (1 + rowBytes), 0)
  if (colour === 3 && !png.palette) throw new Error('PNG: no palette')
  const data = new (depth === 16 ? Uint16Array : Uint8Array)(expected)
  const put = (row, pass, y) => spread(data, row, pass, y, png)
  const rows = new Rows(passes, Math.max(1, (samples * depth) >> 3), put)
  await inflatePieces(png.parts, size, (piece) => rows.take(piece), 'PNG')
  if (!rows.isDone) throw new RangeError(`PNG: fewer than ${size} bytes`)
  return { data, width, height, samples: delivered }
}

/** Put the samples of a row of a pass where they belong. */
function spread(data, row, { x0, y0, dx, dy, w }, y, { width, depth, colour, samples, palette }) {
  const first = (y0 + y * dy) * width + x0
  if (depth === 8 && dx === 1 && colour !== 3) {
    data.set(row, first * samples)
    return
  }
  const mask = (1 << depth) - 1
  // Grey of few bits is scaled to 8, as libpng's png_set_expand does.
  const factor = colour === 0 && depth < 8 ? 255 / mask : 1
  for (let x = 0, n = 0; x < w; x++) {
    const to = (first + x * dx) * (colour === 3 ? 3 : samples)
    for (let s = 0; s < samples; s++, n++) {
      if (depth === 16) {
        data[to + s] = (row[2 * n] << 8) | row[2 * n + 1]
        continue
      }
      const bit = n * depth
      const value = (row[bit >> 3] >> (8 - depth - (bit & 7))) & mask
      if (colour === 3) for (let c = 0; c < 3; c++) data[to + c] = palette[3 * value + c]
      else data[to + s] = value * factor
    }
  }
}
