// Prediction of blocks of lossy WebP from their neighbours (RFC 6386 section 12), and the transform of what is left
// (section 14.4). A plane has a border, of 127 above and 129 to the left.

export const [DC, TRUE_MOTION, VERTICAL, HORIZONTAL] = [0, 1, 2, 3]

/** Blocks on the edge of the image have one side only, or none, to take the mean of. */
function mean(samples, stride, at, size, hasAbove, hasLeft) {
  let sum = 0
  for (let n = 0; n < size; n++) {
    if (hasAbove) sum += samples[at - stride + n]
    if (hasLeft) sum += samples[at + n * stride - 1]
  }
  const count = size * (Number(hasAbove) + Number(hasLeft))
  return count === 0 ? 128 : Math.floor((sum + count / 2) / count)
}

/** Predict a square of samples by one of four modes. */
export function predictSquare({ samples, stride }, at, size, mode, hasAbove, hasLeft) {
  const level = mode === DC ? mean(samples, stride, at, size, hasAbove, hasLeft) : 0
  const corner = samples[at - stride - 1]
  for (let y = 0, row = at; y < size; y++, row += stride) {
    const left = samples[row - 1]
    if (mode === DC) samples.fill(level, row, row + size)
    else if (mode === HORIZONTAL) samples.fill(left, row, row + size)
    else if (mode === VERTICAL) samples.copyWithin(row, at - stride, at - stride + size)
    else for (let x = 0; x < size; x++) samples[row + x] = left + samples[at - stride + x] - corner
  }
}

/**
 * Samples of a block of 4 × 4 by mode: each is a mean of neighbours, which have numbers along the edge from the lowest
 * to the left, 0, over the corner, 4, to the last above to the right, 12.
 */
const two = (first) => [first, first + 1, 1, 1, 0]
const three = (first) => [first, first + 1, 1, 2, 1]
const [L, K, J, X, A] = [0, 1, 2, 4, 5]
const SPLIT = {
  // Down and to the right.
  4: (x, y) => three(X - 1 + x - y),
  // More down than to the right.
  5: (x, y) => {
    if (x === 0 && y > 1) return three(X - y)
    return y % 2 === 0 ? two(X + x - y / 2) : three(X - 1 + x - (y - 1) / 2)
  },
  // Down and to the left; the last sample is repeated.
  6: (x, y) => (x + y === 6 ? [A + 6, A + 7, 1, 3, 0] : three(A + x + y)),
  // More down than to the left.
  7: (x, y) => {
    if (x === 3 && y > 1) return three(A + 2 + y)
    return y % 2 === 0 ? two(A + x + y / 2) : three(A + x + (y - 1) / 2)
  },
  // More to the right than down.
  8: (x, y) => {
    if (y === 0 && x > 1) return three(X - 2 + x)
    return x % 2 === 0 ? two(X - 1 - y + x / 2) : three(X - 1 - y + (x - 1) / 2)
  },
  // More to the right than up; the lowest sample is repeated.
  9: (x, y) => {
    const n = x + 2 * y
    if (n > 5) return [L, L, 1, 1, 0]
    if (n === 5) return [L, K, 3, 1, 0]
    return n % 2 === 0 ? two(J - n / 2) : three(K - (n - 1) / 2)
  },
}
/** Weights of five numbers a sample: place on the edge and of the next, and three weights. */
const WEIGHTS = Object.fromEntries(Object.entries(SPLIT).map(([mode, of]) =>
  [mode, Array.from({ length: 16 }, (_, n) => of(n & 3, n >> 2))]))

// With one more, which has no weight.
const edge = new Int32Array(14)

/** Predict a block of 4 × 4 by one of ten modes. `right` is where the four samples above to the right are. */
export function predictBlock(plane, at, mode, right) {
  const { samples, stride } = plane
  if (mode === DC || mode === TRUE_MOTION) {
    predictSquare(plane, at, 4, mode, true, true)
    return
  }
  for (let n = 0; n < 4; n++) {
    edge[n] = samples[at + (3 - n) * stride - 1]
    edge[5 + n] = samples[at - stride + n]
    edge[9 + n] = samples[right + n]
  }
  edge[4] = samples[at - stride - 1]
  for (let n = 0; n < 16; n++) {
    const [x, y] = [n & 3, n >> 2]
    const to = at + y * stride + x
    if (mode === VERTICAL) samples[to] = (edge[4 + x] + 2 * edge[5 + x] + edge[6 + x] + 2) >> 2
    else if (mode === HORIZONTAL) samples[to] = (edge[4 - y] + 2 * edge[3 - y] + edge[Math.max(0, 2 - y)] + 2) >> 2
    else {
      const [first, next, a, b, c] = WEIGHTS[mode][n]
      const sum = a * edge[first] + b * edge[next] + c * edge[next + 1]
      const total = a + b + c
      samples[to] = total === 2 ? (sum + 1) >> 1 : (sum + 2) >> 2
    }
  }
}

const [ONE, TWO] = [20091, 35468]
const times1 = (value) => ((value * ONE) >> 16) + value
const times2 = (value) => (value * TWO) >> 16
const middle = new Int32Array(16)

/** Add the inverse transform of sixteen coefficients to a block, and clear them. */
export function addTransform({ samples, stride }, at, coefficients, from) {
  for (let n = 0; n < 4; n++) {
    const [i0, i4] = [coefficients[from + n], coefficients[from + 4 + n]]
    const [i8, i12] = [coefficients[from + 8 + n], coefficients[from + 12 + n]]
    const [a, b] = [i0 + i8, i0 - i8]
    const c = times2(i4) - times1(i12)
    const d = times1(i4) + times2(i12)
    middle[4 * n] = a + d
    middle[4 * n + 1] = b + c
    middle[4 * n + 2] = b - c
    middle[4 * n + 3] = a - d
  }
  for (let n = 0, row = at; n < 4; n++, row += stride) {
    const first = middle[n] + 4
    const [a, b] = [first + middle[8 + n], first - middle[8 + n]]
    const c = times2(middle[4 + n]) - times1(middle[12 + n])
    const d = times1(middle[4 + n]) + times2(middle[12 + n])
    samples[row] += (a + d) >> 3
    samples[row + 1] += (b + c) >> 3
    samples[row + 2] += (b - c) >> 3
    samples[row + 3] += (a - d) >> 3
  }
  coefficients.fill(0, from, from + 16)
}
