// CCITT streams of TIFF 6.0 sections 10 and 11 (ITU-T T.4 and T.6): black is 1.

const WHITE =
  '00110101 000111 0111 1000 1011 1100 1110 1111 10011 10100 00111 01000 001000 000011 110100 110101 ' +
  '101010 101011 0100111 0001100 0001000 0010111 0000011 0000100 0101000 0101011 0010011 0100100 ' +
  '0011000 00000010 00000011 00011010 00011011 00010010 00010011 00010100 00010101 00010110 00010111 ' +
  '00101000 00101001 00101010 00101011 00101100 00101101 00000100 00000101 00001010 00001011 01010010 ' +
  '01010011 01010100 01010101 00100100 00100101 01011000 01011001 01011010 01011011 01001010 01001011 ' +
  '00110010 00110011 00110100'
const WHITE_64 =
  '11011 10010 010111 0110111 00110110 00110111 01100100 01100101 01101000 01100111 011001100 ' +
  '011001101 011010010 011010011 011010100 011010101 011010110 011010111 011011000 011011001 ' +
  '011011010 011011011 010011000 010011001 010011010 011000 010011011'
const BLACK =
  '0000110111 010 11 10 011 0011 0010 00011 000101 000100 0000100 0000101 0000111 00000100 00000111 ' +
  '000011000 0000010111 0000011000 0000001000 00001100111 00001101000 00001101100 00000110111 ' +
  '00000101000 00000010111 00000011000 000011001010 000011001011 000011001100 000011001101 ' +
  '000001101000 000001101001 000001101010 000001101011 000011010010 000011010011 000011010100 ' +
  '000011010101 000011010110 000011010111 000001101100 000001101101 000011011010 000011011011 ' +
  '000001010100 000001010101 000001010110 000001010111 000001100100 000001100101 000001010010 ' +
  '000001010011 000000100100 000000110111 000000111000 000000100111 000000101000 000001011000 ' +
  '000001011001 000000101011 000000101100 000001011010 000001100110 000001100111'
const BLACK_64 =
  '0000001111 000011001000 000011001001 000001011011 000000110011 000000110100 000000110101 ' +
  '0000001101100 0000001101101 0000001001010 0000001001011 0000001001100 0000001001101 0000001110010 ' +
  '0000001110011 0000001110100 0000001110101 0000001110110 0000001110111 0000001010010 0000001010011 ' +
  '0000001010100 0000001010101 0000001011010 0000001011011 0000001100100 0000001100101'
const BOTH_64 =
  '00000001000 00000001100 00000001101 000000010010 000000010011 000000010100 000000010101 ' +
  '000000010110 000000010111 000000011100 000000011101 000000011110 000000011111'
const [PASS, HORIZONTAL] = [8, 9]
/** End of line, as a code among runs. */
const EOL = 4096
const EOL_BITS = 12
/** Of T4Options. */
const [MIXED, FILL] = [1, 4]
const MODES = { 1: 0, '011': 1, '000011': 2, '0000011': 3, '010': -1, '000010': -2, '0000010': -3 }

// Lookup of 13 bits: value << 4 | length.
function table(entries) {
  const out = new Int32Array(1 << 13)
  for (const [code, value] of entries) {
    const from = parseInt(code, 2) << (13 - code.length)
    out.fill(value * 16 + code.length, from, from + (1 << (13 - code.length)))
  }
  return out
}

const runs = (first, second) =>
  table([
    ...first.split(' ').map((code, i) => [code, i]),
    ...second.split(' ').map((code, i) => [code, 64 * (i + 1)]),
    ...BOTH_64.split(' ').map((code, i) => [code, 1792 + 64 * i]),
    ['000000000001', EOL],
  ])
const RUNS = [runs(WHITE, WHITE_64), runs(BLACK, BLACK_64)]
const MODE = table([['0001', PASS], ['001', HORIZONTAL], ...Object.entries(MODES)])

/** Of `Reader.code`: no code, or one that the stream ends in. */
const [NONE, CUT] = [-100, -101]

class Reader {
  constructor(bytes) {
    this.bytes = bytes
    this.bit = 0
  }
  /** Bits that are left. */
  get left() {
    return this.bytes.length * 8 - this.bit
  }
  /** The next bits, with zeros behind the end. */
  peek(n) {
    const { bytes, bit } = this
    const i = bit >> 3
    const word = ((bytes[i] << 16) | (bytes[i + 1] << 8) | bytes[i + 2]) >>> 0
    return (word >> (24 - (bit & 7) - n)) & ((1 << n) - 1)
  }
  /** The next bit. */
  tag() {
    const bit = this.peek(1)
    this.bit++
    return bit
  }
  align() {
    this.bit = (this.bit + 7) & ~7
  }
  /** Go behind an end of line within the next `most` bits, or nowhere. */
  skipEndOfLine(most) {
    const first = this.bit
    for (; this.bit - first <= most && this.left >= EOL_BITS; this.bit++) {
      if (this.peek(EOL_BITS) !== 1) continue
      this.bit += EOL_BITS
      return true
    }
    this.bit = first
    return false
  }
  /** Go behind an end of line and the zeros before it, or nowhere. */
  skipFill() {
    const first = this.bit
    while (this.left >= EOL_BITS && this.peek(EOL_BITS) === 0) this.bit++
    if (this.skipEndOfLine(0)) return true
    this.bit = first
    return false
  }
  /** The value of a code; an end of line is not passed. */
  code(lookup) {
    const found = lookup[this.peek(13)]
    if (found === 0) return NONE
    if ((found & 15) > this.left) return CUT
    if (found >> 4 !== EOL) this.bit += found & 15
    return found >> 4
  }
  /** Length of a run, or a negative number. */
  run(colour) {
    for (let total = 0; ; ) {
      const n = this.code(RUNS[colour])
      if (n < 0 || n === EOL) return NONE
      total += n
      if (n < 64) return total
    }
  }
}

/** Decode runs into a white row; what follows a damaged code stays white. */
function oneDimensional(reader, row) {
  for (let x = 0, colour = 0, run = 0; x < row.length; ) {
    const n = reader.code(RUNS[colour])
    // Some encoders omit the code that ends the last run.
    if (n === NONE && run > 0 && x + run === row.length) row.fill(colour, x)
    if (n < 0 || n === EOL) return
    run += n
    if (n >= 64) continue
    row.fill(colour, x, x + run)
    x += run
    run = 0
    colour ^= 1
  }
}

/** Where the pixels of a row change, from white to black first. */
function changesOf(row) {
  const changes = []
  for (let x = 0, colour = 1; (x = row.indexOf(colour, x)) >= 0; colour ^= 1) changes.push(x)
  return changes
}

/** Decode modes into a white row, by the `changes` of the row before it; false if a code is damaged. */
function twoDimensional(reader, row, changes) {
  const width = row.length
  for (let x = -1, colour = 0, k = 0; x < width && reader.left > 0; ) {
    while (changes[k] <= x) k++
    // A change to the other colour than that of `x` has its parity.
    const next = (k & 1) === colour ? k : k + 1
    const mode = reader.code(MODE)
    if (mode === NONE) return false
    if (mode === CUT) break
    const start = Math.max(x, 0)
    if (mode === PASS) {
      x = changes[next + 1] ?? width
      row.fill(colour, start, x)
    } else if (mode === HORIZONTAL) {
      const [first, second] = [reader.run(colour), reader.run(colour ^ 1)]
      if (first < 0 || second < 0) return false
      const middle = Math.min(start + first, width)
      x = Math.min(middle + second, width)
      row.fill(colour, start, middle).fill(colour ^ 1, middle, x)
    } else {
      x = Math.max(start, Math.min((changes[next] ?? width) + mode, width))
      row.fill(colour, start, x)
      colour ^= 1
    }
  }
  return true
}

/**
 * Decode `height` rows of `width` pixels, damaged ones as imagecodecs does; rows after the end of the data stay white.
 *
 * `kind`: "rle", "fax3" or "fax4"; `options`: T4Options.
 */
export function decodeCCITT(bytes, width, height, kind, options = 0) {
  const out = new Uint8Array(width * height)
  const reader = new Reader(bytes)
  const endLine = () => (kind === 'fax3' && options & FILL ? reader.skipFill() : reader.skipEndOfLine(0))
  if (kind === 'fax3' && !endLine()) reader.skipEndOfLine(2 * width - 1)
  const isMixed = kind === 'fax3' && (options & MIXED) !== 0
  let changes = []
  for (let y = 0; y < height && reader.left > 0; y++) {
    const row = out.subarray(y * width, (y + 1) * width)
    if (kind === 'fax4' || (isMixed && !reader.tag())) {
      if (!twoDimensional(reader, row, changes)) {
        if (kind !== 'fax4' || y === 0) throw new Error(`imagecodecs_ccitt${kind}: row ${y} is damaged`)
        row.fill(0)
        break
      }
    } else oneDimensional(reader, row)
    if (kind === 'fax4' || isMixed) changes = changesOf(row)
    if (kind === 'rle') reader.align()
    if (kind !== 'fax4') endLine()
  }
  return out
}
