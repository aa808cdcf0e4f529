// Coefficients of macroblocks of lossy WebP (RFC 6386 section 13).

const ZIGZAG = [0, 1, 4, 8, 5, 2, 3, 6, 9, 12, 13, 10, 7, 11, 14, 15]
// Of each place, and of the one after the last.
const BANDS = [0, 1, 2, 3, 6, 4, 5, 6, 6, 6, 6, 6, 6, 6, 6, 7, 0]
const NODES = 11
const CONTEXTS = 3 * NODES
const TYPES = 8 * CONTEXTS
/** Probabilities of further bits of large coefficients. */
const LARGE = [
  [173, 148, 140],
  [176, 155, 140, 135],
  [180, 157, 141, 134, 130],
  [254, 254, 243, 230, 196, 177, 153, 140, 133, 130, 129],
]

const [AFTER_SECOND, SECOND, CHROMA, WHOLE] = [0, 1, 2, 3]

function largeValue(part, p, node) {
  if (!part.bit(p[node + 3])) {
    if (!part.bit(p[node + 4])) return 2
    return 3 + part.bit(p[node + 5])
  }
  if (!part.bit(p[node + 6])) {
    if (!part.bit(p[node + 7])) return 5 + part.bit(159)
    const high = 2 * part.bit(165)
    return 7 + high + part.bit(145)
  }
  const high = part.bit(p[node + 8])
  const category = 2 * high + part.bit(p[node + 9 + high])
  let value = 0
  for (const probability of LARGE[category]) value = 2 * value + part.bit(probability)
  return value + 3 + (8 << category)
}

/** Read coefficients of a block, times its steps. Returns the place after the last that is there. */
function readBlock(part, p, type, context, [dc, ac], first, out, at) {
  let n = first
  let node = type * TYPES + BANDS[n] * CONTEXTS + context * NODES
  while (n < 16) {
    if (!part.bit(p[node])) return n
    while (!part.bit(p[node + 1])) {
      if (++n === 16) return 16
      node = type * TYPES + BANDS[n] * CONTEXTS
    }
    let value = 1
    let next = 1
    if (part.bit(p[node + 2])) {
      value = largeValue(part, p, node)
      next = 2
    }
    out[at + ZIGZAG[n]] = (part.flag() ? -value : value) * (n > 0 ? ac : dc)
    node = type * TYPES + BANDS[++n] * CONTEXTS + next * NODES
  }
  return 16
}

/** First coefficients of the sixteen blocks, from their second order (section 14.3). */
function fromSecondOrder(input, out) {
  const middle = new Int32Array(16)
  for (let n = 0; n < 4; n++) {
    const [a, b] = [input[n] + input[12 + n], input[4 + n] + input[8 + n]]
    const [c, d] = [input[4 + n] - input[8 + n], input[n] - input[12 + n]]
    middle[n] = a + b
    middle[8 + n] = a - b
    middle[4 + n] = d + c
    middle[12 + n] = d - c
  }
  for (let n = 0; n < 4; n++) {
    const first = middle[4 * n] + 3
    const [a, b] = [first + middle[4 * n + 3], middle[4 * n + 1] + middle[4 * n + 2]]
    const [c, d] = [middle[4 * n + 1] - middle[4 * n + 2], first - middle[4 * n + 3]]
    out[64 * n] = (a + b) >> 3
    out[64 * n + 16] = (d + c) >> 3
    out[64 * n + 32] = (a - b) >> 3
    out[64 * n + 48] = (d - c) >> 3
  }
}

/**
 * Read the coefficients of a macroblock: 16 blocks of luminance, and four of each chrominance.
 *
 * `above` and `left` tell which blocks beside it have any: four of luminance, two and two of chrominance, and the
 * second order. Returns whether there is a coefficient.
 */
export function readCoefficients(part, probabilities, isSplit, steps, above, left, out) {
  let any = false
  let [type, first] = [WHOLE, 0]
  if (!isSplit) {
    const second = new Int16Array(16)
    const end = readBlock(part, probabilities, SECOND, above[8] + left[8], steps.second, 0, second, 0)
    above[8] = left[8] = end > 0 ? 1 : 0
    if (end > 0) fromSecondOrder(second, out)
    ;[type, first] = [AFTER_SECOND, 1]
  }
  const blocks = (kind, sides, place, step, from, at) => {
    for (let n = 0; n < sides * sides; n++) {
      const [x, y] = [place + (n % sides), place + Math.floor(n / sides)]
      const start = at + 16 * n
      const end = readBlock(part, probabilities, kind, above[x] + left[y], step, from, out, start)
      above[x] = left[y] = end > from ? 1 : 0
      if (end > 1 || out[start] !== 0) any = true
    }
  }
  blocks(type, 4, 0, steps.luminance, first, 0)
  blocks(CHROMA, 2, 4, steps.chroma, 0, 256)
  blocks(CHROMA, 2, 6, steps.chroma, 0, 320)
  return any
}
