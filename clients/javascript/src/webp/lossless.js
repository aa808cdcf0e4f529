// Lossless WebP (RFC 9649 section 3). Copies reach back 2²⁰ pixels at most, so no more are kept; rows are passed on
// as they are decoded.

import { Bits, readCode } from './codes.js'
import { addGreen, crossColour, palette, predictor } from './transforms.js'

const [LITERALS, LENGTHS, DISTANCES] = [256, 24, 40]
const FARTHEST = 2 ** 20
const MOST_CACHE_BITS = 11
const HASH = 0x1e35a7bd

const damaged = (what) => new RangeError(`WebP: ${what}`)

/** Neighbours by distance, which the first codes of distances mean (section 3.6.2.2). */
const NEIGHBOURS = Array.from({ length: 128 }, (_, n) => ({ x: (n & 15) - 7, y: n >> 4 }))
  .filter(({ x, y }) => y > 0 || x > 0)
  .sort((a, b) => a.x ** 2 + a.y ** 2 - b.x ** 2 - b.y ** 2 || Math.abs(a.x) - Math.abs(b.x) || b.x - a.x)

/** A length or a distance, of which larger ones have bits of their own. */
function readNumber(bits, symbol) {
  if (symbol < 4) return symbol + 1
  const extra = (symbol - 2) >> 1
  return ((2 + (symbol & 1)) << extra) + bits.read(extra) + 1
}

function readDistance(bits, symbol, width) {
  const code = readNumber(bits, symbol)
  if (code > NEIGHBOURS.length) return code - NEIGHBOURS.length
  const { x, y } = NEIGHBOURS[code - 1]
  return Math.max(1, y * width + x)
}

const readGroup = (bits, cacheSize) => ({
  green: readCode(bits, LITERALS + LENGTHS + cacheSize),
  red: readCode(bits, LITERALS),
  blue: readCode(bits, LITERALS),
  alpha: readCode(bits, LITERALS),
  distance: readCode(bits, DISTANCES),
})

/** Groups of prefix codes, and which one a place has. */
function readGroups(bits, width, height, cacheSize, isImage) {
  if (!isImage || !bits.read(1)) {
    const group = readGroup(bits, cacheSize)
    return { at: () => group, size: 31 }
  }
  const size = bits.read(3) + 2
  const across = Math.ceil(width / 2 ** size)
  const tiles = readPixels(bits, across, Math.ceil(height / 2 ** size))
  let most = 0
  for (let n = 0; n < tiles.length; n++) {
    tiles[n] = (tiles[n] >>> 8) & 0xffff
    if (tiles[n] > most) most = tiles[n]
  }
  const groups = Array.from({ length: most + 1 }, () => readGroup(bits, cacheSize))
  return { at: (x, y) => groups[tiles[(y >> size) * across + (x >> size)]], size }
}

/** Read an image, and pass on each row, which is not to be kept. */
function readRows(bits, width, height, isImage, pass) {
  const cacheBits = bits.read(1) ? bits.read(4) : 0
  if (cacheBits > MOST_CACHE_BITS) throw damaged('a colour cache that is too large')
  const cache = new Uint32Array(cacheBits ? 2 ** cacheBits : 0)
  const groups = readGroups(bits, width, height, cache.length, isImage)
  const total = width * height
  const ring = new Uint32Array(2 ** Math.ceil(Math.log2(Math.min(total, FARTHEST))))
  const last = ring.length - 1
  const row = new Uint32Array(width)
  const tile = 2 ** groups.size - 1
  let [at, x, y] = [0, 0, 0]
  let group = groups.at(0, 0)
  const put = (pixel) => {
    ring[at++ & last] = pixel
    if (cacheBits) cache[Math.imul(HASH, pixel) >>> (32 - cacheBits)] = pixel
    row[x++] = pixel
    if (x === width) {
      bits.checkEnd()
      pass(row, y++)
      x = 0
    }
  }
  while (at < total) {
    if ((x & tile) === 0) group = groups.at(x, y)
    const symbol = bits.symbol(group.green)
    if (symbol < LITERALS) {
      const red = bits.symbol(group.red)
      const blue = bits.symbol(group.blue)
      put(((bits.symbol(group.alpha) << 24) | (red << 16) | (symbol << 8) | blue) >>> 0)
    } else if (symbol < LITERALS + LENGTHS) {
      const length = readNumber(bits, symbol - LITERALS)
      const distance = readDistance(bits, bits.symbol(group.distance), width)
      if (distance > at || at + length > total) throw damaged('a copy of what is not in the image')
      for (let n = 0; n < length; n++) put(ring[(at - distance) & last])
      if (at < total) group = groups.at(x, y)
    } else {
      put(cache[symbol - LITERALS - LENGTHS])
    }
  }
}

function readPixels(bits, width, height) {
  const out = new Uint32Array(width * height)
  readRows(bits, width, height, false, (row, y) => out.set(row, y * width))
  return out
}

/** Read transforms: how each is undone, the last first, and the width of rows before. */
function readTransforms(bits, imageWidth, height) {
  const undo = []
  const seen = new Set()
  let width = imageWidth
  while (bits.read(1)) {
    const kind = bits.read(2)
    if (seen.has(kind)) throw damaged('a transform that is there twice')
    seen.add(kind)
    if (kind === 2) undo.unshift(addGreen())
    else if (kind === 3) {
      const colours = bits.read(8) + 1
      const packing = colours > 16 ? 0 : colours > 4 ? 1 : colours > 2 ? 2 : 3
      undo.unshift(palette(width, packing, readPixels(bits, colours, 1)))
      width = Math.ceil(width / 2 ** packing)
    } else {
      const size = bits.read(3) + 2
      const tiles = readPixels(bits, Math.ceil(width / 2 ** size), Math.ceil(height / 2 ** size))
      undo.unshift((kind === 0 ? predictor : crossColour)(width, size, tiles))
    }
  }
  return { undo, width }
}

/** Decode the pixels of a stream without its header. `pass` gets each row, which is not to be kept, and its number. */
export function decodeLossless(bytes, at, width, height, pass) {
  const bits = new Bits(bytes, at)
  const { undo, width: stored } = readTransforms(bits, width, height)
  readRows(bits, stored, height, true, (row, y) => pass(undo.reduce((pixels, change) => change(pixels, y), row), y))
}
