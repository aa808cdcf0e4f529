// Lossy WebP: a key frame of VP8 (RFC 6386).

import { readCoefficients } from './coefficients.js'
import { filterFrame } from './filter.js'
import { readHeader } from './header.js'
import { addTransform, DC, HORIZONTAL, predictBlock, predictSquare, TRUE_MOTION, VERTICAL } from './prediction.js'
import { BLOCK_MODES } from './tables.js'

/** Modes of blocks of 4 × 4 (section 11.2): numbers of further nodes, or modes as negative numbers. */
const BLOCK_TREE = [-0, 1, -1, 2, -2, 3, 4, 6, -3, 5, -4, -5, -6, 7, -7, 8, -8, -9]
const [MODES, NODES] = [10, 9]
const BORDER = 4

/** Samples of a plane, with a border above, to the left and to the right. */
function planeOf(across, down, size) {
  const stride = 1 + across * size + BORDER
  const samples = new Uint8ClampedArray(stride * (1 + down * size))
  samples.fill(127, 0, stride)
  for (let row = stride; row < samples.length; row += stride) samples[row] = 129
  return { samples, stride, at: (x, y) => stride * (1 + y * size) + 1 + x * size }
}

function readBlockMode(first, above, left) {
  const p = (above * MODES + left) * NODES
  let node = BLOCK_TREE[first.bit(BLOCK_MODES[p])]
  while (node > 0) node = BLOCK_TREE[2 * node + first.bit(BLOCK_MODES[p + node])]
  return -node
}

/** Mode of a macroblock: of its blocks, or as a whole (section 11.2). */
function readModes(first, above, left, modes) {
  const isSplit = !first.bit(145)
  if (isSplit) {
    for (let n = 0; n < 16; n++) {
      const [x, y] = [n & 3, n >> 2]
      modes[n] = above[x] = left[y] = readBlockMode(first, above[x], left[y])
    }
  } else {
    modes[0] = first.bit(156) ? (first.bit(128) ? TRUE_MOTION : HORIZONTAL) : first.bit(163) ? VERTICAL : DC
    above.fill(modes[0])
    left.fill(modes[0])
  }
  const chroma = !first.bit(142) ? DC : !first.bit(114) ? VERTICAL : first.bit(183) ? TRUE_MOTION : HORIZONTAL
  return { isSplit, chroma }
}

function readSegment(first, { hasMap, tree }) {
  if (!hasMap) return 0
  return first.bit(tree[0]) ? 2 + first.bit(tree[2]) : first.bit(tree[1])
}

function addBlocks(plane, at, coefficients, from, sides) {
  for (let n = 0; n < sides * sides; n++) {
    addBlock(plane, at + 4 * (n % sides) + 4 * Math.floor(n / sides) * plane.stride, coefficients, from + 16 * n)
  }
}

function addBlock(plane, at, coefficients, from) {
  for (let n = from; n < from + 16; n++) {
    if (coefficients[n] !== 0) return addTransform(plane, at, coefficients, from)
  }
}

/** Predict a macroblock, and add what its coefficients say. */
function rebuild([luminance, ...chrominances], { x, y, isLast, isSplit, chroma }, modes, coefficients) {
  const at = luminance.at(x, y)
  const { samples, stride } = luminance
  if (isSplit) {
    const right = at - stride + 16
    if (isLast && y > 0) samples.fill(samples[right - 1], right, right + BORDER)
    for (let n = 0; n < 16; n++) {
      const block = at + 4 * (n & 3) + 4 * (n >> 2) * stride
      predictBlock(luminance, block, modes[n], (n & 3) === 3 ? right : block - stride + 4)
      addBlock(luminance, block, coefficients, 16 * n)
    }
  } else {
    predictSquare(luminance, at, 16, modes[0], y > 0, x > 0)
    addBlocks(luminance, at, coefficients, 0, 4)
  }
  chrominances.forEach((plane, n) => {
    predictSquare(plane, plane.at(x, y), 8, chroma, y > 0, x > 0)
    addBlocks(plane, plane.at(x, y), coefficients, 256 + 64 * n, 2)
  })
}

/** Decode a frame to three planes: luminance, and chrominances of half its width and height. */
export function decodeFrame(bytes) {
  const header = readHeader(bytes)
  const { width, height, first, segments, filters, partitions, steps, probabilities, skipping } = header
  const [across, down] = [Math.ceil(width / 16), Math.ceil(height / 16)]
  const planes = [planeOf(across, down, 16), planeOf(across, down, 8), planeOf(across, down, 8)]
  const aboveModes = Array.from({ length: across }, () => new Uint8Array(4))
  const above = Array.from({ length: across }, () => new Uint8Array(9))
  const kinds = new Uint8Array(across * down)
  const isInner = new Uint8Array(across * down)
  const coefficients = new Int16Array(384)
  const modes = new Uint8Array(16)
  for (let y = 0, n = 0; y < down; y++) {
    const part = partitions[y % partitions.length]
    const left = new Uint8Array(9)
    const leftModes = new Uint8Array(4)
    for (let x = 0; x < across; x++, n++) {
      const segment = readSegment(first, segments)
      const isSkipped = skipping !== undefined && first.bit(skipping) === 1
      const { isSplit, chroma } = readModes(first, aboveModes[x], leftModes, modes)
      let any = false
      if (!isSkipped) any = readCoefficients(part, probabilities, isSplit, steps[segment], above[x], left, coefficients)
      else {
        // The second order is remembered where there is none.
        above[x].fill(0, 0, isSplit ? 8 : 9)
        left.fill(0, 0, isSplit ? 8 : 9)
      }
      if (first.isOver || part.isOver) throw new RangeError('WebP: the stream ends early')
      kinds[n] = 2 * segment + Number(isSplit)
      isInner[n] = Number(isSplit || any)
      rebuild(planes, { x, y, isLast: x === across - 1, isSplit, chroma }, modes, coefficients)
    }
  }
  if (filters) filterFrame(planes, { across, down, ...filters, isInner, kinds })
  return { width, height, planes }
}
