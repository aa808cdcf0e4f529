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
  ])
const RUNS = [runs(WHITE, WHITE_64), runs(BLACK, BLACK_64)]
const MODE = table([['0001', PASS], ['001', HORIZONTAL], ...Object.entries(MODES)])

class Reader {
  constructor(bytes) {
    this.bytes = bytes
    this.bit = 0
  }
  peek(n) {
    const { bytes, bit } = this
    const i = bit >> 3
    const word = ((bytes[i] << 16) | (bytes[i + 1] << 8) | bytes[i + 2]) >>> 0
    return (word >> (24 - (bit & 7) - n)) & ((1 << n) - 1)
  }
  get done() {
    return this.bit >= this.bytes.length * 8
  }
  align() {
    this.bit = (this.bit + 7) & ~7
  }
  /** Go to the first end-of-line code, if there is one: Group 3 data begin there. */
  findEndOfLine() {
    for (let bit = 0, zeros = 0; bit < this.bytes.length * 8; bit++) {
      const one = (this.bytes[bit >> 3] >> (7 - (bit & 7))) & 1
      if (one && zeros >= 11) {
        this.bit = bit - 11
        return
      }
      zeros = one ? 0 : zeros + 1
    }
  }

  code(lookup) {
    const found = lookup[this.peek(13)]
    const end = this.bit + (found & 15)
    // Behind the last byte, `peek` finds zeros: a code that needs them is none.
    if (found === 0 || end > this.bytes.length * 8) return null
    this.bit = end
    return found >> 4
  }
  run(colour) {
    let total = 0
    for (;;) {
      const n = this.code(RUNS[colour])
      if (n === null) return null
      total += n
      if (n < 64) return total
    }
  }
}

function oneDimensional(reader, changes, width) {
  let [x, colour] = [0, 0]
  while (x < width) {
    const n = reader.run(colour)
    if (n === null) break
    x += n
    changes.push(Math.min(x, width))
    colour ^= 1
  }
}

function twoDimensional(reader, changes, before, width) {
  let [x, colour, k] = [-1, 0, 0]
  // `before[i]` ends a run of white where i is even: the first to the right of x that changes to
  // the other colour than `colour` has the parity of it.
  const b1 = () => {
    k = Math.max(0, k - 2)
    if ((k & 1) !== colour) k++
    while (k < before.length && before[k] <= x) k += 2
    return k < before.length ? before[k] : width
  }
  while (x < width) {
    const mode = reader.code(MODE)
    if (mode === null) return false
    if (mode === PASS) {
      b1()
      x = k + 1 < before.length ? before[k + 1] : width
    } else if (mode === HORIZONTAL) {
      x = Math.max(x, 0)
      for (let i = 0; i < 2; i++) {
        const n = reader.run(colour ^ i)
        if (n === null) return false
        x = Math.min(x + n, width)
        changes.push(x)
      }
    } else {
      x = Math.max(0, Math.min(b1() + mode, width))
      changes.push(x)
      colour ^= 1
    }
  }
  return true
}

/**
 * Decode `height` rows of `width` pixels; rows after the end of the data stay white.
 *
 * `kind`: "rle", "fax3" or "fax4"; `options`: T4Options.
 */
export function decodeCCITT(bytes, width, height, kind, options = 0) {
  const out = new Uint8Array(width * height)
  const reader = new Reader(bytes)
  if (kind === 'fax3') reader.findEndOfLine()
  let before = []
  for (let y = 0; y < height && !reader.done; y++) {
    const changes = []
    let two = kind === 'fax4'
    if (kind === 'rle') reader.align()
    if (kind === 'fax3') {
      // End of line: at least 11 zeros, perhaps more to fill, and a one.
      if (reader.peek(11) === 0) {
        while (!reader.done && reader.peek(1) === 0) reader.bit++
        reader.bit++
      }
      if (options & 1) {
        two = reader.peek(1) === 0
        reader.bit++
      }
      if (reader.done) break
    }
    if (two) {
      if (!twoDimensional(reader, changes, before, width)) {
        // As imagecodecs has it: what follows a row of Group 4 is white, if there was one.
        if (kind === 'fax4' && y > 0) break
        throw new Error(`imagecodecs_ccitt${kind}: row ${y} is damaged`)
      }
    } else oneDimensional(reader, changes, width)
    for (let i = 0, x = 0; i < changes.length; i++) {
      if (i & 1) out.fill(1, y * width + x, y * width + changes[i])
      x = changes[i]
    }
    before = changes
  }
  return out
}
