// Transforms of lossless WebP (RFC 9649 section 3.5), undone row by row. A pixel is a number: alpha, red, green, blue.

const BLACK = 0xff000000

const add = (a, b) =>
  ((((a & 0xff00ff00) + (b & 0xff00ff00)) & 0xff00ff00) | (((a & 0xff00ff) + (b & 0xff00ff)) & 0xff00ff)) >>> 0

const average = (a, b) => ((((a ^ b) & 0xfefefefe) >>> 1) + (a & b)) >>> 0

const clip = (value) => (value < 0 ? 0 : value > 255 ? 255 : value)

/** A pixel whose channels are made of those of three others. */
const eachChannel = (change) => (a, b, c) => {
  let pixel = 0
  for (let shift = 0; shift < 32; shift += 8) {
    pixel |= clip(change((a >>> shift) & 255, (b >>> shift) & 255, (c >>> shift) & 255)) << shift
  }
  return pixel >>> 0
}

const sumLess = eachChannel((a, b, c) => a + b - c)
const halfLess = eachChannel((a, b) => a + Math.trunc((a - b) / 2))

/** The pixel above or to the left: from the other one, the difference to the corner is smaller. */
function select(top, left, corner) {
  let difference = 0
  for (let shift = 0; shift < 32; shift += 8) {
    const c = (corner >>> shift) & 255
    difference += Math.abs(((left >>> shift) & 255) - c) - Math.abs(((top >>> shift) & 255) - c)
  }
  return difference <= 0 ? top : left
}

/** Predictions by mode, of the pixels to the left, above, above to the right, and above to the left. */
const PREDICTORS = [
  () => BLACK,
  (left) => left,
  (_, top) => top,
  (_, __, right) => right,
  (_, __, ___, corner) => corner,
  (left, top, right) => average(average(left, right), top),
  (left, _, __, corner) => average(left, corner),
  (left, top) => average(left, top),
  (_, top, __, corner) => average(corner, top),
  (_, top, right) => average(top, right),
  (left, top, right, corner) => average(average(left, corner), average(top, right)),
  (left, top, _, corner) => select(top, left, corner),
  (left, top, _, corner) => sumLess(left, top, corner),
  (left, top, _, corner) => halfLess(average(left, top), corner, 0),
  () => BLACK,
  () => BLACK,
]

/** Add predictions. It keeps the row before, and returns a copy, which other transforms change. */
export function predictor(width, bits, tiles) {
  const across = Math.ceil(width / 2 ** bits)
  let above = new Uint32Array(width)
  let other = new Uint32Array(width)
  const copy = new Uint32Array(width)
  return (row, y) => {
    const out = other
    out[0] = add(row[0], y === 0 ? BLACK : above[0])
    const first = (y >> bits) * across
    for (let x = 1; x < width;) {
      const end = Math.min(width, ((x >> bits) + 1) << bits)
      const predict = PREDICTORS[y === 0 ? 1 : (tiles[first + (x >> bits)] >>> 8) & 15]
      for (; x < end; x++) {
        // To the right of the last pixel of a row comes the first of the next.
        const right = x + 1 < width ? above[x + 1] : out[0]
        out[x] = add(row[x], predict(out[x - 1], above[x], right, above[x - 1]))
      }
    }
    ;[above, other] = [out, above]
    copy.set(out)
    return copy
  }
}

const signed = (byte) => (byte << 24) >> 24

/** Add to red and blue what green and red foretell. */
export function crossColour(width, bits, tiles) {
  const across = Math.ceil(width / 2 ** bits)
  return (row, y) => {
    for (let x = 0; x < width; x++) {
      const code = tiles[(y >> bits) * across + (x >> bits)]
      const pixel = row[x]
      const green = signed(pixel >>> 8)
      const red = (pixel >>> 16) + ((signed(code) * green) >> 5)
      const blue = pixel + ((signed(code >>> 8) * green) >> 5) + ((signed(code >>> 16) * signed(red)) >> 5)
      row[x] = (pixel & 0xff00ff00) | ((red & 255) << 16) | (blue & 255)
    }
    return row
  }
}

/** Add green to red and blue. */
export const addGreen = () => (row) => {
  for (let x = 0; x < row.length; x++) {
    const green = (row[x] >>> 8) & 255
    row[x] = (row[x] & 0xff00ff00) | (((row[x] & 0xff00ff) + green * 0x10001) & 0xff00ff)
  }
  return row
}

/** Replace indices by colours; of few colours, a pixel has several indices. */
export function palette(width, bits, differences) {
  const depth = 8 >> bits
  const colours = new Uint32Array(2 ** depth)
  differences.forEach((difference, n) => (colours[n] = n === 0 ? difference : add(difference, colours[n - 1])))
  const out = new Uint32Array(width)
  return (row) => {
    for (let x = 0; x < width; x++) {
      const packed = (row[x >> bits] >>> 8) & 255
      out[x] = colours[(packed >> ((x & (2 ** bits - 1)) * depth)) & (2 ** depth - 1)]
    }
    return out
  }
}
