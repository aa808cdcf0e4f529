// PNG (ISO/IEC 15948) of 8 and 16 bits and below, of every colour type, interlaced or not.

import { inflate } from './deflate.js'

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

function unfilter(raw, at, rowBytes, rows, step) {
  const out = new Uint8Array(rowBytes * rows)
  for (let y = 0; y < rows; y++) {
    const kind = raw[at++]
    const o = y * rowBytes
    for (let i = 0; i < rowBytes; i++) {
      const a = i >= step ? out[o + i - step] : 0
      const b = y ? out[o + i - rowBytes] : 0
      let add = 0
      if (kind === 1) add = a
      else if (kind === 2) add = b
      else if (kind === 3) add = (a + b) >> 1
      else if (kind === 4) {
        const c = y && i >= step ? out[o + i - step - rowBytes] : 0
        const [pa, pb, pc] = [Math.abs(b - c), Math.abs(a - c), Math.abs(a + b - 2 * c)]
        add = pa <= pb && pa <= pc ? a : pb <= pc ? b : c
      }
      out[o + i] = raw[at++] + add
    }
  }
  return { out, at }
}

const [IHDR, PLTE, IDAT, IEND] = [0x49484452, 0x504c5445, 0x49444154, 0x49454e44]

/** Header, palette and compressed parts of a stream. */
function parse(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < 33 || view.getUint32(0) !== 0x89504e47 || view.getUint32(12) !== IHDR) {
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
  for (let at = 8; at + 8 <= bytes.length; ) {
    const [size, type] = [view.getUint32(at), view.getUint32(at + 4)]
    const body = bytes.subarray(at + 8, at + 8 + size)
    if (type === PLTE) palette = body
    else if (type === IDAT) parts.push(body)
    else if (type === IEND) break
    at += 12 + size
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
  const raw = await inflate(png.parts, size, 'PNG')
  if (raw.length < size) throw new RangeError(`PNG: ${raw.length} bytes of ${size}`)
  const data = new (depth === 16 ? Uint16Array : Uint8Array)(width * height * samples)
  let at = 0
  for (const pass of passes) {
    const { out, at: next } = unfilter(raw, at, pass.rowBytes, pass.h, Math.max(1, (samples * depth) >> 3))
    spread(data, out, pass, png)
    at = next
  }
  return { data: colour === 3 ? coloured(data, png) : data, width, height, samples: delivered }
}

/** Put the samples of a pass where they belong. */
function spread(data, bytes, { x0, y0, dx, dy, w, h, rowBytes }, { width, depth, colour, samples }) {
  const mask = (1 << depth) - 1
  // Grey of few bits is scaled to 8, as libpng's png_set_expand does.
  const factor = colour === 0 && depth < 8 ? 255 / mask : 1
  for (let y = 0; y < h; y++) {
    const row = y * rowBytes
    for (let x = 0; x < w; x++) {
      const to = ((y0 + y * dy) * width + x0 + x * dx) * samples
      for (let s = 0; s < samples; s++) {
        const n = x * samples + s
        if (depth === 16) data[to + s] = (bytes[row + 2 * n] << 8) | bytes[row + 2 * n + 1]
        else if (depth === 8) data[to + s] = bytes[row + n]
        else {
          const bit = n * depth
          data[to + s] = ((bytes[row + (bit >> 3)] >> (8 - depth - (bit & 7))) & mask) * factor
        }
      }
    }
  }
}

function coloured(indices, { palette }) {
  if (!palette) throw new Error('PNG: no palette')
  const out = new Uint8Array(indices.length * 3)
  indices.forEach((index, i) => out.set(palette.subarray(3 * index, 3 * index + 3), 3 * i))
  return out
}
