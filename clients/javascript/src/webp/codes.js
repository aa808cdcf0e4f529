// Bits and prefix codes of lossless WebP (RFC 9649 sections 3.1 and 3.7).

const ORDER = [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]
const LONGEST = 15
/** Bits that a table resolves at once; longer codes are read bit by bit. */
const TABLE_BITS = 9
/** Entries of all tables of an image: encoders need a small part of this. */
const MOST_ENTRIES = 2 ** 23

const damaged = (what) => new RangeError(`WebP: ${what}`)

/** Bits of a stream, low ones first. Behind its end are zeros, which `checkEnd` tells. */
export class Bits {
  constructor(bytes, at) {
    Object.assign(this, { bytes, at, held: 0, count: 0, entries: 0 })
  }

  /** Hold at least 25 bits. */
  fill() {
    while (this.count <= 24) {
      const byte = this.at < this.bytes.length ? this.bytes[this.at] : 0
      this.held |= byte << this.count
      this.at++
      this.count += 8
    }
  }

  read(count) {
    if (this.count < count) this.fill()
    const value = this.held & ((1 << count) - 1)
    this.held >>>= count
    this.count -= count
    return value
  }

  symbol(code) {
    if (code.table === null) return code.only
    if (this.count < LONGEST) this.fill()
    const entry = code.table[this.held & code.mask]
    if (entry !== 0) {
      this.held >>>= entry & 15
      this.count -= entry & 15
      return entry >> 4
    }
    return this.longSymbol(code)
  }

  longSymbol({ counts, sorted }) {
    for (let length = 1, value = 0, first = 0, index = 0; length <= LONGEST; length++) {
      value = 2 * value + ((this.held >> (length - 1)) & 1)
      first *= 2
      if (value - first < counts[length]) {
        this.held >>>= length
        this.count -= length
        return sorted[index + value - first]
      }
      index += counts[length]
      first += counts[length]
    }
    throw damaged('damaged stream')
  }

  checkEnd() {
    if (8 * this.at - this.count > 8 * this.bytes.length) throw damaged('the stream ends early')
  }
}

/** A canonical prefix code of lengths; of one symbol alone, it has no bits. */
function prefixCode(lengths, bits) {
  const counts = new Uint16Array(LONGEST + 1)
  for (const length of lengths) counts[length]++
  counts[0] = 0
  const total = counts.reduce((sum, count) => sum + count)
  if (total === 1) return { table: null, only: lengths.findIndex((length) => length > 0) }
  const space = counts.reduce((sum, count, length) => sum + count * 2 ** (LONGEST - length), 0)
  if (total === 0 || space !== 2 ** LONGEST) throw damaged('a prefix code that is not complete')
  const sorted = new Uint16Array(total)
  const place = new Uint16Array(LONGEST + 2)
  for (let length = 1; length <= LONGEST; length++) place[length + 1] = place[length] + counts[length]
  lengths.forEach((length, symbol) => length > 0 && (sorted[place[length]++] = symbol))
  const longest = counts.findLastIndex((count) => count > 0)
  const size = Math.min(TABLE_BITS, longest)
  const table = new Uint16Array(2 ** size)
  if ((bits.entries += table.length + total) > MOST_ENTRIES) throw damaged('too many prefix codes')
  for (let length = 1, code = 0, n = 0; length <= size; length++, code *= 2) {
    for (let k = 0; k < counts[length]; k++, code++, n++) {
      let reversed = 0
      for (let bit = 0; bit < length; bit++) reversed |= ((code >> bit) & 1) << (length - 1 - bit)
      for (let at = reversed; at < table.length; at += 2 ** length) table[at] = (sorted[n] << 4) | length
    }
  }
  return { table, mask: table.length - 1, counts, sorted }
}

/** Read a prefix code of an alphabet. */
export function readCode(bits, alphabet) {
  const lengths = new Uint8Array(alphabet)
  if (bits.read(1)) {
    const two = bits.read(1)
    const symbols = [bits.read(bits.read(1) ? 8 : 1)]
    if (two) symbols.push(bits.read(8))
    for (const symbol of symbols) if (symbol < alphabet) lengths[symbol] = 1
    return prefixCode(lengths, bits)
  }
  const ofLengths = new Uint8Array(ORDER.length)
  const count = bits.read(4) + 4
  for (const symbol of ORDER.slice(0, count)) ofLengths[symbol] = bits.read(3)
  const code = prefixCode(ofLengths, bits)
  let left = alphabet
  if (bits.read(1)) {
    left = 2 + bits.read(2 + 2 * bits.read(3))
    if (left > alphabet) throw damaged('a prefix code with too many lengths')
  }
  for (let symbol = 0, before = 8; symbol < alphabet && left > 0; left--) {
    const length = bits.symbol(code)
    if (length < 16) {
      lengths[symbol++] = length
      if (length > 0) before = length
      continue
    }
    const repeat = length === 16 ? bits.read(2) + 3 : length === 17 ? bits.read(3) + 3 : bits.read(7) + 11
    if (symbol + repeat > alphabet) throw damaged('a prefix code with too many lengths')
    lengths.fill(length === 16 ? before : 0, symbol, (symbol += repeat))
  }
  bits.checkEnd()
  return prefixCode(lengths, bits)
}
