// Scans of DCT coefficients (ITU-T T.81 annexes F and G): sequential and progressive.

import { Bits } from './bits.js'

export const ZIGZAG = new Uint8Array([
  0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13,
  6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45,
  38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
])

/** Components of a scan with their tables, its parameters, and where its data begin. */
export function scanHeader(state, data, at) {
  const length = (data[at - 2] << 8) | data[at - 1]
  const count = data[at++]
  const components = []
  for (let n = 0; n < count; n++, at += 2) {
    const component = state.frame.components.find(({ id }) => id === data[at])
    if (!component) throw new Error('JPEG: a scan of an unknown component')
    component.dc = state.huffman[data[at + 1] >> 4]
    component.ac = state.huffman[16 | (data[at + 1] & 15)]
    component.pred = 0
    // Later tables are those of other scans.
    component.table ??= state.quantisation[component.quantisation]
    components.push(component)
  }
  if (count < 1 || count > 4 || length !== 2 * count + 6) throw new Error('JPEG: a bad header of a scan')
  const [first, last, approximation] = data.subarray(at, at + 3)
  return { components, first, last, high: approximation >> 4, low: approximation & 15, at: at + 3 }
}

/**
 * Decode a scan into the coefficients of its components, and return where it ends.
 *
 * `planes`: where each row of MCUs is transformed, if no other scan follows.
 */
export function decodeScan(state, data, at) {
  const { frame, restart, planes } = state
  const scan = scanHeader(state, data, at)
  if (scan.components.some(({ table }) => !table)) throw new Error('JPEG: a stream without its quantisation table')
  const bits = new Bits(data, scan.at)
  const decode = blockDecoder(bits, scan, frame.progressive)
  let left = restart || Infinity
  const next = () => {
    if (left === 0) {
      bits.restart()
      for (const component of scan.components) component.pred = 0
      scan.run = 0
      left = restart
    }
    left--
  }
  const rowOf = (c, y) => 64 * (y % c.blockRows) * c.blocksX
  const begin = () => planes && frame.components.forEach((c) => c.coefficients.fill(0))
  if (scan.components.length === 1) {
    const [c] = scan.components
    const [columns, rows] = [Math.ceil(c.width / 8), Math.ceil(c.height / 8)]
    for (let y = 0; y < rows; y++) {
      begin()
      const first = rowOf(c, y)
      for (let x = 0; x < columns; x++) {
        next()
        if (!bits.isOut) decode(c, first + 64 * x)
      }
      planes?.add(y)
    }
    return bits.end()
  }
  for (let y = 0; y < frame.mcusY; y++) {
    begin()
    for (let x = 0; x < frame.mcusX; x++) {
      next()
      if (bits.isOut) continue
      for (const c of scan.components) {
        for (let v = 0; v < c.v; v++) {
          const first = rowOf(c, y * c.v + v)
          for (let h = 0; h < c.h; h++) decode(c, first + 64 * (x * c.h + h))
        }
      }
    }
    planes?.add(y)
  }
  return bits.end()
}

function blockDecoder(bits, scan, progressive) {
  const dcNeeded = !progressive || (scan.first === 0 && scan.high === 0)
  const acNeeded = !progressive || scan.first > 0
  if (scan.components.some(({ dc, ac }) => (dcNeeded && !dc) || (acNeeded && !ac))) {
    throw new Error('JPEG: a scan without its Huffman tables')
  }
  scan.run = 0
  if (!progressive) return sequential(bits)
  if (scan.first === 0 && scan.last !== 0) throw new Error('JPEG: bad spectral selection')
  if (scan.high && scan.low !== scan.high - 1) throw new Error('JPEG: bad successive approximation')
  if (scan.first === 0) return scan.high ? dcRefined(bits, scan) : dcFirst(bits, scan)
  if (scan.last > 63 || scan.first > scan.last) throw new Error('JPEG: bad spectral selection')
  return scan.high ? acRefined(bits, scan) : acFirst(bits, scan)
}

const sequential = (bits) => (c, k) => {
  const z = c.coefficients
  c.pred += bits.signed(bits.symbol(c.dc) & 15)
  z[k] = c.pred
  for (let n = 1; n < 64; n++) {
    const symbol = bits.symbol(c.ac)
    const [zeros, size] = [symbol >> 4, symbol & 15]
    if (size === 0) {
      if (zeros < 15) break
      n += 15
      continue
    }
    n += zeros
    const value = bits.signed(size)
    if (n < 64) z[k + ZIGZAG[n]] = value
  }
}

const dcFirst = (bits, { low }) => (c, k) => {
  c.pred += bits.signed(bits.symbol(c.dc) & 15)
  c.coefficients[k] = c.pred << low
}

const dcRefined = (bits, { low }) => (c, k) => {
  if (bits.bits(1)) c.coefficients[k] |= 1 << low
}

const acFirst = (bits, scan) => (c, k) => {
  if (scan.run > 0) {
    scan.run--
    return
  }
  for (let n = scan.first; n <= scan.last; n++) {
    const symbol = bits.symbol(c.ac)
    const [zeros, size] = [symbol >> 4, symbol & 15]
    if (size === 0) {
      if (zeros < 15) {
        scan.run = (1 << zeros) - 1 + bits.bits(zeros)
        break
      }
      n += 15
      continue
    }
    n += zeros
    const value = bits.signed(size) * (1 << scan.low)
    if (n < 64) c.coefficients[k + ZIGZAG[n]] = value
  }
}

// Section G.1.2.3: a bit for each coefficient that is not zero, and new ones between them.
const acRefined = (bits, scan) => (c, k) => {
  const z = c.coefficients
  const one = 1 << scan.low
  const refine = (at) => {
    if (bits.bits(1) && (Math.abs(z[at]) & one) === 0) z[at] += z[at] > 0 ? one : -one
  }
  let n = scan.first
  for (; scan.run === 0 && n <= scan.last; n++) {
    const symbol = bits.symbol(c.ac)
    let zeros = symbol >> 4
    let value = 0
    if ((symbol & 15) !== 0) value = bits.bits(1) ? one : -one
    else if (zeros < 15) {
      scan.run = (1 << zeros) + bits.bits(zeros)
      break
    }
    for (; n <= scan.last; n++) {
      const at = k + ZIGZAG[n]
      if (z[at] !== 0) refine(at)
      else if (--zeros < 0) {
        if (value) z[at] = value
        break
      }
    }
  }
  if (scan.run === 0) return
  for (; n <= scan.last; n++) {
    const at = k + ZIGZAG[n]
    if (z[at] !== 0) refine(at)
  }
  scan.run--
}
