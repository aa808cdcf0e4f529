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

/** Decode a scan into the planes of its components, and return where it ends. */
export function decodeLosslessScan(state, data, at) {
  const { frame, restart } = state
  const { components, first: kind, last, high, low: shift, at: start } = scanHeader(state, data, at)
  const predict = PREDICTORS[kind]
  if (!predict || last !== 0 || high !== 0 || shift >= frame.precision) throw new Error(`JPEG: lossless predictor ${kind}`)
  if (components.some(({ dc }) => !dc)) throw new Error('JPEG: a scan without its Huffman tables')
  const bits = new Bits(data, start)
  const { width, height, precision } = frame
  let left = restart || Infinity
  // The first row after a restart has no row above it.
  let top = 0
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (left === 0) {
        bits.restart()
        ;[left, top] = [restart, y]
        if (x !== 0) throw new Error('JPEG: a lossless restart within a row')
      }
      left--
      for (const { dc, samples } of components) {
        const i = y * width + x
        let expected
        if (y === top) expected = x === 0 ? 1 << (precision - shift - 1) : samples[i - 1]
        else if (x === 0) expected = samples[i - width]
        else expected = predict(samples[i - 1], samples[i - width], samples[i - width - 1])
        const size = bits.symbol(dc)
        samples[i] = expected + (size < 16 ? bits.signed(size) : 32768)
      }
    }
  }
  if (shift) for (const { samples } of components) samples.forEach((v, i) => (samples[i] = v << shift))
  return bits.end()
}
