// Header of a lossy WebP frame (RFC 6386 section 9), which tells how its macroblocks are decoded.

import { Partition } from './arithmetic.js'
import { AC_STEPS, COEFFICIENTS, DC_STEPS, UPDATES } from './tables.js'

const damaged = (what) => new RangeError(`WebP: ${what}`)
const four = (make) => Array.from({ length: 4 }, (_, n) => make(n))
const within = (value, most) => Math.max(0, Math.min(most, value))

function readSegments(first) {
  const none = four(() => 0)
  const segments = { isUsed: first.flag(), hasMap: false, isAbsolute: false, steps: none, levels: none }
  segments.tree = [255, 255, 255]
  if (!segments.isUsed) return segments
  segments.hasMap = first.flag()
  if (first.flag()) {
    segments.isAbsolute = first.flag()
    segments.steps = four(() => first.optional(7))
    segments.levels = four(() => first.optional(6))
  }
  if (segments.hasMap) segments.tree = segments.tree.map(() => (first.flag() ? first.number(8) : 255))
  return segments
}

/** Strength of the loop filter (section 9.6), for each segment: of macroblocks as a whole, and of those of blocks. */
function readFilters(first, segments) {
  const isSimple = first.flag()
  const level = first.number(6)
  const sharpness = first.number(3)
  let [ofReference, ofMode] = [0, 0]
  if (first.flag() && first.flag()) {
    const deltas = Array.from({ length: 8 }, () => first.optional(6))
    ;[ofReference, ofMode] = [deltas[0], deltas[4]]
  }
  const strength = (segment, isSplit) => {
    const own = segments.isUsed ? segments.levels[segment] + (segments.isAbsolute ? 0 : level) : level
    const found = within(own + ofReference + (isSplit ? ofMode : 0), 63)
    let interior = sharpness > 0 ? found >> (sharpness > 4 ? 2 : 1) : found
    if (sharpness > 0) interior = Math.min(interior, 9 - sharpness)
    interior = Math.max(1, interior)
    return { edge: found && 2 * found + interior, interior, variance: found >= 40 ? 2 : found >= 15 ? 1 : 0 }
  }
  return level === 0 ? undefined : { isSimple, strengths: four((n) => [strength(n, false), strength(n, true)]) }
}

/** Steps of quantization (section 9.6) of each segment: luminance, its second order, and chrominance. */
function readSteps(first, segments) {
  const base = first.number(7)
  const [luminance, secondDC, secondAC, chromaDC, chromaAC] = Array.from({ length: 5 }, () => first.optional(4))
  const dc = (index, most = 127) => DC_STEPS[within(index, most)]
  const ac = (index) => AC_STEPS[within(index, 127)]
  return four((n) => {
    const index = segments.isUsed ? segments.steps[n] + (segments.isAbsolute ? 0 : base) : base
    return {
      luminance: [dc(index + luminance), ac(index)],
      second: [2 * dc(index + secondDC), Math.max(8, (ac(index + secondAC) * 101581) >> 16)],
      chroma: [dc(index + chromaDC, 117), ac(index + chromaAC)],
    }
  })
}

/** Partitions of coefficients (section 9.5). */
function partitionsOf(bytes, count) {
  let at = 3 * (count - 1)
  if (at >= bytes.length) throw damaged('partitions are missing')
  return Array.from({ length: count }, (_, n) => {
    const size = n === count - 1 ? bytes.length : bytes[3 * n] | (bytes[3 * n + 1] << 8) | (bytes[3 * n + 2] << 16)
    const start = at
    at = Math.min(bytes.length, at + size)
    if (n === count - 1 && start >= bytes.length) throw damaged('partitions are missing')
    return new Partition(bytes.subarray(start, at))
  })
}

/** Size of a frame; an error if it is none that stands alone. */
export function sizeOfFrame(bytes) {
  const bits = bytes[0] | (bytes[1] << 8) | (bytes[2] << 16)
  const isKey = (bits & 1) === 0 && bytes[3] === 0x9d && bytes[4] === 0x01 && bytes[5] === 0x2a
  const first = bits >> 5
  if (bytes.length < 10 || !isKey || ((bits >> 1) & 7) > 3 || !((bits >> 4) & 1) || 10 + first > bytes.length) {
    throw damaged('damaged stream')
  }
  const [width, height] = [6, 8].map((at) => (bytes[at] | (bytes[at + 1] << 8)) & 0x3fff)
  return { width, height, first }
}

export function readHeader(bytes) {
  const { width, height, first: size } = sizeOfFrame(bytes)
  const first = new Partition(bytes.subarray(10, 10 + size))
  // Colour space, and whether samples have to be clipped, which they are.
  first.number(2)
  const segments = readSegments(first)
  const filters = readFilters(first, segments)
  const partitions = partitionsOf(bytes.subarray(10 + size), 2 ** first.number(2))
  const steps = readSteps(first, segments)
  // Whether probabilities are kept for the next frame.
  first.flag()
  const probabilities = COEFFICIENTS.map((known, n) => (first.bit(UPDATES[n]) ? first.number(8) : known))
  const skipping = first.flag() ? first.number(8) : undefined
  if (first.isOver) throw damaged('the header ends early')
  return { width, height, first, segments, filters, partitions, steps, probabilities, skipping }
}
