// Lossless JPEG (ITU-T T.81 annex H): differences from predicted samples, Huffman-coded.

import { Bits } from './bits.js'
import { scanHeader } from './scan.js'

const PREDICTORS = [
  null,
  (a) => a,
  (a, b) => b,
  (a, b, c) => c,
  (a, b, c) => a + b - c,
  (a, b, c) => a + ((b - c) >> 1),
  (a, b, c) => b + ((a - c) >> 1),
  (a, b) => (a + b) >> 1,
]

/** Decode a scan into the samples of the image, and return where it ends. */
export function decodeLosslessScan(state, data, at) {
  const { frame, restart } = state
  const { components, first: kind, last, high, low: shift, at: start } = scanHeader(state, data, at)
  const predict = PREDICTORS[kind]
  if (!predict || last !== 0 || high !== 0 || shift >= frame.precision) throw new Error(`JPEG: lossless predictor ${kind}`)
  if (components.some(({ dc }) => !dc)) throw new Error('JPEG: a scan without its Huffman tables')
  const bits = new Bits(data, start)
  const { width, height, precision, data: out } = frame
  const count = frame.components.length
  const lines = components.map(({ dc, index }) =>
    ({ dc, index, row: new Uint16Array(width), above: new Uint16Array(width) }))
  let left = restart || Infinity
  // The first row after a restart has no row above it.
  let top = 0
  for (let y = 0; y < height; y++) {
    // As libjpeg has rows that begin behind the end.
    const isOut = bits.isOut && left > 0
    for (let x = 0; x < width; x++) {
      if (left === 0) {
        bits.restart()
        ;[left, top] = [restart, y]
        if (x !== 0) throw new Error('JPEG: a lossless restart within a row')
      }
      left--
      for (const { dc, row, above } of lines) {
        let expected
        if (y === top) expected = x === 0 ? 1 << (precision - shift - 1) : row[x - 1]
        else if (x === 0) expected = above[0]
        else expected = predict(row[x - 1], above[x], above[x - 1])
        if (isOut) {
          row[x] = 1 << (precision - shift - 1)
          continue
        }
        const size = bits.symbol(dc)
        row[x] = expected + (size < 16 ? bits.signed(size) : 32768)
      }
    }
    for (const line of lines) {
      for (let x = 0, to = y * width * count + line.index; x < width; x++, to += count) out[to] = line.row[x] << shift
      ;[line.row, line.above] = [line.above, line.row]
    }
  }
  return bits.end()
}
