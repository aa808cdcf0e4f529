// Packets of a tile of JPEG 2000 (ITU-T T.800 Annex B): where each ends, and of which component it is. Samples are
// not decoded.

const SOP = 0x91
const EPH = 0x92
const [BYPASS, TERMINATE_ALL] = [1, 4]
const MOST_PRECINCTS = 2 ** 18
const MOST_BLOCKS = 2 ** 20

/** Bits of a packet header: after a byte 0xFF, one of seven follows (section B.10.1). */
class HeaderBits {
  constructor(bytes, at) {
    Object.assign(this, { bytes, at, byte: 0, left: 0 })
  }

  bit() {
    if (this.left === 0) {
      if (this.at >= this.bytes.length) throw new RangeError('JPEG 2000: a packet ends after its tile')
      this.left = this.byte === 0xff ? 7 : 8
      this.byte = this.bytes[this.at++]
    }
    return (this.byte >> --this.left) & 1
  }

  bits(count) {
    let value = 0
    for (let n = 0; n < count; n++) value = value * 2 + this.bit()
    return value
  }

  /** Where the header ends. */
  end() {
    return this.byte === 0xff ? this.at + 1 : this.at
  }
}

/** A tag tree (section B.10.2). */
class TagTree {
  constructor(width, height) {
    this.levels = []
    for (let [w, h] = [width, height]; ; [w, h] = [Math.ceil(w / 2), Math.ceil(h / 2)]) {
      this.levels.unshift({ width: w, low: new Uint16Array(w * h), known: new Uint8Array(w * h) })
      if (w * h <= 1) break
    }
  }

  /** Whether the value of a leaf is below a threshold, as far as is known after more bits. */
  isBelow(x, y, threshold, bits) {
    let low = 0
    let isKnown = false
    this.levels.forEach((level, n) => {
      const shift = this.levels.length - 1 - n
      const at = (y >> shift) * level.width + (x >> shift)
      low = Math.max(low, level.low[at])
      while (low < threshold && !level.known[at]) {
        if (bits.bit()) level.known[at] = 1
        else low++
      }
      level.low[at] = low
      isKnown = level.known[at] === 1
    })
    return isKnown && low < threshold
  }
}

const over = (value, exponent) => Math.ceil(value / 2 ** exponent)
const under = (value, exponent) => Math.floor(value / 2 ** exponent)

/** Blocks of a band that are in a precinct. */
function bandOf(tile, [right, down], level, { px, py, widthExponent, heightExponent }, coding) {
  const half = level > 0 ? 2 ** (level - 1) : 0
  const side = (first, last, offset, place, exponent, block) => {
    const from = Math.max(over(first - half * offset, level), place * 2 ** exponent)
    const to = Math.min(over(last - half * offset, level), (place + 1) * 2 ** exponent)
    return to > from ? over(to, Math.min(block, exponent)) - under(from, Math.min(block, exponent)) : 0
  }
  const width = side(tile.x0, tile.x1, right, px, widthExponent, coding.blockWidth)
  const height = side(tile.y0, tile.y1, down, py, heightExponent, coding.blockHeight)
  const count = width * height
  if (count > MOST_BLOCKS) throw new RangeError(`JPEG 2000: ${count} blocks in a precinct`)
  return { width, height, blocks: undefined }
}

/** What is known of each block of a band in a precinct. */
function blocksOf({ width, height }) {
  const of = (Type) => new Type(width * height)
  return {
    inclusion: new TagTree(width, height),
    zeroPlanes: new TagTree(width, height),
    lengthBits: of(Uint8Array),
    // Passes in the current segment, and how many there may be.
    passes: of(Uint8Array),
    most: of(Uint8Array),
  }
}

const LOW = [[0, 0]]
const HIGH = [[1, 0], [0, 1], [1, 1]]

/** Precincts of a component of a tile: resolution, place on the reference grid, and bands. */
function* precinctsOf(tile, component, coding) {
  for (let resolution = 0; resolution <= coding.levels; resolution++) {
    const level = coding.levels - resolution
    const [w, h] = coding.precincts[resolution]
    if (resolution > 0 && (w === 0 || h === 0)) throw new RangeError('JPEG 2000: precincts of one sample')
    const [x0, x1, y0, y1] = [tile.x0, tile.x1, tile.y0, tile.y1].map((side) => over(side, level))
    if (x1 <= x0 || y1 <= y0) continue
    for (let py = under(y0, h), index = 0; py < over(y1, h); py++) {
      for (let px = under(x0, w); px < over(x1, w); px++, index++) {
        const isLow = resolution === 0
        const place = { px, py, widthExponent: isLow ? w : w - 1, heightExponent: isLow ? h : h - 1 }
        const bands = (isLow ? LOW : HIGH).map((kind) => bandOf(tile, kind, isLow ? level : level + 1, place, coding))
        const [x, y] = [Math.max(tile.x0, px * 2 ** (w + level)), Math.max(tile.y0, py * 2 ** (h + level))]
        yield { component, resolution, index, x, y, bands, style: coding.style }
      }
    }
  }
}

/** What packets are ordered by, for each progression (section B.12). */
const PROGRESSIONS = [
  ['layer', 'resolution', 'component', 'index'],
  ['resolution', 'layer', 'component', 'index'],
  ['resolution', 'y', 'x', 'component', 'index', 'layer'],
  ['y', 'x', 'component', 'resolution', 'index', 'layer'],
  ['component', 'y', 'x', 'resolution', 'index', 'layer'],
]

function* inOrder(precincts, progression, layers) {
  const keys = PROGRESSIONS[progression]
  if (!keys) throw new RangeError(`JPEG 2000: progression ${progression}`)
  const before = keys.slice(0, keys.indexOf('layer'))
  const compare = (a, b, by) => {
    for (const key of by) if (a[key] !== b[key]) return a[key] - b[key]
    return 0
  }
  const all = keys.filter((key) => key !== 'layer')
  const sorted = [...precincts].sort((a, b) => compare(a, b, all))
  for (let first = 0, last; first < sorted.length; first = last) {
    for (last = first + 1; last < sorted.length && compare(sorted[first], sorted[last], before) === 0;) last++
    for (let layer = 0; layer < layers; layer++) {
      for (let n = first; n < last; n++) yield { precinct: sorted[n], layer }
    }
  }
}

/** Number of passes that a packet adds to a block (section B.10.6). */
function newPasses(bits) {
  if (!bits.bit()) return 1
  if (!bits.bit()) return 2
  const few = bits.bits(2)
  if (few < 3) return 3 + few
  const more = bits.bits(5)
  return more < 31 ? 6 + more : 37 + bits.bits(7)
}

/** Bytes that a packet has of a block (section B.10.7); segments of passes have lengths of their own. */
function bytesOfBlock(blocks, at, style, bits) {
  let passes = newPasses(bits)
  while (bits.bit()) blocks.lengthBits[at]++
  let size = 0
  while (passes > 0) {
    if (blocks.passes[at] === blocks.most[at]) {
      blocks.passes[at] = 0
      const before = blocks.most[at]
      if (style & TERMINATE_ALL) blocks.most[at] = 1
      else if (style & BYPASS) blocks.most[at] = before === 0 ? 10 : before === 2 ? 1 : 2
      else blocks.most[at] = 255
    }
    const taken = Math.min(passes, blocks.most[at] - blocks.passes[at])
    size += bits.bits(blocks.lengthBits[at] + 31 - Math.clz32(taken))
    blocks.passes[at] += taken
    passes -= taken
  }
  return size
}

/** Bytes of all blocks in a packet, by its header. */
function bodySize({ bands, style }, layer, bits) {
  let size = 0
  if (!bits.bit()) return size
  for (const band of bands) {
    if (band.width * band.height === 0) continue
    const blocks = (band.blocks ??= blocksOf(band))
    for (let at = 0; at < band.width * band.height; at++) {
      const [x, y] = [at % band.width, Math.floor(at / band.width)]
      if (blocks.lengthBits[at]) {
        if (!bits.bit()) continue
      } else {
        if (!blocks.inclusion.isBelow(x, y, layer + 1, bits)) continue
        for (let planes = 1; !blocks.zeroPlanes.isBelow(x, y, planes, bits);) planes++
        blocks.lengthBits[at] = 3
      }
      size += bytesOfBlock(blocks, at, style, bits)
    }
  }
  return size
}

/** Packets of a tile: `[component, bytes]`. */
export function* packetsOf(data, tile, { codings, progression, layers }) {
  const precincts = []
  for (const [component, coding] of codings.entries()) {
    for (const precinct of precinctsOf(tile, component, coding)) {
      if (precincts.push(precinct) > MOST_PRECINCTS) throw new RangeError('JPEG 2000: too many precincts')
    }
  }
  const has = (at, code) => data[at] === 0xff && data[at + 1] === code
  let at = 0
  for (const { precinct, layer } of inOrder(precincts, progression, layers)) {
    if (at >= data.length) throw new RangeError('JPEG 2000: packets of a tile are missing')
    const first = at
    if (has(at, SOP)) at += 6
    const bits = new HeaderBits(data, at)
    const size = bodySize(precinct, layer, bits)
    at = bits.end()
    if (has(at, EPH)) at += 2
    at += size
    if (at > data.length) throw new RangeError('JPEG 2000: a packet ends after its tile')
    yield [precinct.component, data.subarray(first, at)]
  }
}
