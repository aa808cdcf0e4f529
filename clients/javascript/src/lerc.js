// LERC blobs of versions 3 to 5 whose pixels are all valid, decoded straight into the chunk: the WebAssembly build holds
// several copies. It decodes the others: older ones, masks, several bands, and version 6.

import { check, text, viewOf } from './headers.js'

const TYPES = [
  Int8Array, Uint8Array, Int16Array, Uint16Array, Int32Array, Uint32Array, Float32Array, Float64Array,
]
const READ = [
  'getInt8', 'getUint8', 'getInt16', 'getUint16', 'getInt32', 'getUint32', 'getFloat32', 'getFloat64',
]
const [INT8, UINT8, INT32, FLOAT32, FLOAT64] = [0, 1, 4, 6, 7]
/** Where what the checksum is of begins. */
const CHECKED = 14
const [RAW, STUFFED, ZERO, CONSTANT] = [0, 1, 2, 3]
const [DELTA_HUFFMAN, HUFFMAN] = [1, 2]
const MOST_CODE_BITS = 32
/** Bits of codes that are looked up at once. */
const LOOKUP_BITS = 12

const fail = () => {
  throw new RangeError('LERC: damaged stream')
}

/** Fletcher's checksum of 32 bits, of big-endian words. */
function fletcher32(bytes, from, to) {
  const folded = (sum) => (sum & 0xffff) + (sum >>> 16)
  let [a, b] = [0xffff, 0xffff]
  for (let at = from; at < to; ) {
    // As many as 32 bits hold.
    for (const end = Math.min(at + 2 * 359, to); at < end; at += 2) {
      a += (bytes[at] << 8) | (at + 1 < to ? bytes[at + 1] : 0)
      b += a
    }
    ;[a, b] = [folded(a), folded(b)]
  }
  return ((folded(b) << 16) | folded(a)) >>> 0
}

function headerOf(bytes) {
  if (text(bytes, 0, 6) !== 'Lerc2 ' || bytes.length < 70) return undefined
  const view = viewOf(bytes)
  const version = view.getInt32(6, true)
  if (version < 3 || version > 5) return undefined
  let at = CHECKED
  const int = () => view.getInt32((at += 4) - 4, true)
  const double = () => view.getFloat64((at += 8) - 8, true)
  const [height, width, samples] = [int(), int(), version < 4 ? 1 : int()]
  const [valid, side, size, type] = [int(), int(), int(), int()]
  const header = { version, height, width, samples, side, type, error: double(), least: double(), most: double() }
  const maskBytes = int()
  if (size !== bytes.length || valid !== width * height || maskBytes !== 0 || side < 1 || !TYPES[type]) return undefined
  return { ...header, at }
}

/** Samples of a blob, or `undefined` if it is of another kind than those above. */
export function decodeBlob(bytes, expected) {
  const header = headerOf(bytes)
  if (!header) return undefined
  check('LERC', header, header.samples, expected)
  const view = viewOf(bytes)
  if (fletcher32(bytes, CHECKED, bytes.length) !== view.getUint32(CHECKED - 4, true)) fail()
  try {
    const data = new Decoder(view, header, expected).decode()
    return { data, masks: [null], width: header.width, height: header.height, samples: header.samples }
  } catch (cause) {
    // Of reading after the end.
    throw cause instanceof RangeError ? new RangeError('LERC: damaged stream', { cause }) : cause
  }
}

class Decoder {
  constructor(view, header, expected) {
    const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
    Object.assign(this, header, { view, bytes, data: new TYPES[header.type](expected) })
  }

  byte() {
    return this.view.getUint8(this.at++)
  }

  value(type) {
    const value = this.view[READ[type]](this.at, true)
    this.at += TYPES[type].BYTES_PER_ELEMENT
    return value
  }

  /** Values of one pixel, in the type of the image. */
  pixel() {
    return Array.from({ length: this.samples }, () => this.value(this.type))
  }

  /** Bytes from here on, which are there. */
  skip(count) {
    const { bytes, at } = this
    if (at + count > bytes.length) fail()
    this.at += count
    return bytes.subarray(at, at + count)
  }

  decode() {
    const { data, samples, version, type } = this
    if (this.least === this.most) return data.fill(this.least)
    let [least, most] = [[this.least], [this.most]]
    if (version >= 4) {
      ;[least, most] = [this.pixel(), this.pixel()]
      if (least.every((value, n) => value === most[n])) {
        for (let i = 0; i < data.length; i += samples) data.set(least, i)
        return data
      }
    }
    this.highest = samples > 1 ? most : [this.most]
    if (this.byte() === 1) {
      new Uint8Array(data.buffer).set(this.skip(data.byteLength))
      return data
    }
    const mode = (type === INT8 || type === UINT8) && this.error === 0.5 ? this.byte() : 0
    if (mode === 0) this.tiles()
    else if (mode === DELTA_HUFFMAN || (mode === HUFFMAN && version >= 4)) this.huffman(mode)
    else fail()
    return data
  }

  tiles() {
    const { width, height, side, samples } = this
    this.numbers = new Float64Array(Math.min(side, width) * Math.min(side, height))
    for (let y = 0; y < height; y += side) {
      for (let x = 0; x < width; x += side) {
        const [w, h] = [Math.min(side, width - x), Math.min(side, height - y)]
        for (let n = 0; n < samples; n++) this.block(x, y, w, h, n)
      }
    }
  }

  /** Values of one sample of the pixels of a block. */
  block(x, y, w, h, n) {
    const { version, type, data, width, samples } = this
    const head = this.byte()
    const kind = head & 3
    const isDifference = version >= 5 && (head & 4) !== 0
    const known = version >= 5 ? 14 : 15
    if (((head >> 2) & known) !== ((x >> 3) & known) || (isDifference && (n === 0 || kind === RAW))) fail()
    const [most, scale] = [this.highest[n], 2 * this.error]
    let offset = 0
    if (kind === RAW) {
      const { view } = this
      const [read, size] = [READ[type], data.BYTES_PER_ELEMENT]
      for (let row = 0; row < h; row++) {
        let to = ((y + row) * width + x) * samples + n
        for (let i = 0; i < w; i++, to += samples, this.at += size) data[to] = view[read](this.at, true)
      }
      return
    }
    if (kind !== ZERO) offset = this.value(reduced(isDifference && type < FLOAT32 ? INT32 : type, head >> 6))
    const numbers = kind === STUFFED ? this.unstuffed(w * h) : undefined
    if (!numbers && !isDifference && offset === 0) return
    const isBounded = kind === STUFFED || (kind === CONSTANT && isDifference)
    for (let row = 0, i = 0; row < h; row++) {
      let to = ((y + row) * width + x) * samples + n
      for (let column = 0; column < w; column++, to += samples) {
        let value = offset
        if (numbers) value += numbers[i++] * scale
        if (isDifference) value += data[to - 1]
        data[to] = isBounded && value > most ? most : value
      }
    }
  }

  /** `count` numbers of a few bits, the lowest first, or numbers of a table of such. */
  unstuffed(count) {
    const head = this.byte()
    const [bits, hasTable, form] = [head & 31, (head & 32) !== 0, head >> 6]
    const stored = form === 0 ? this.value(5) : form === 1 ? this.value(3) : form === 2 ? this.byte() : fail()
    if (stored !== count) fail()
    if (!hasTable) return this.bitNumbers(count, bits, this.numbers ?? new Float64Array(count))
    const size = this.byte()
    if (size < 2) fail()
    const table = new Float64Array(size)
    this.bitNumbers(size - 1, bits, table.subarray(1))
    const out = this.bitNumbers(count, 32 - Math.clz32(size - 1), this.numbers ?? new Float64Array(count))
    for (let i = 0; i < count; i++) out[i] = out[i] < size ? table[out[i]] : fail()
    return out
  }

  bitNumbers(count, bits, out) {
    const { bytes, at: first } = this
    this.skip(Math.ceil((count * bits) / 8))
    const modulus = 2 ** bits
    for (let i = 0, bit = 0; i < count; i++, bit += bits) {
      const [at, shift] = [first + (bit >> 3), bit & 7]
      const low = (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> shift
      out[i] = bits <= 24 ? low & (modulus - 1) : (low + (bytes[at + 4] ?? 0) * 2 ** (32 - shift)) % modulus
    }
    return out
  }

  huffman(mode) {
    const { data, width, height, samples } = this
    const next = this.symbols()
    const offset = this.type === INT8 ? 128 : 0
    if (mode === HUFFMAN) {
      for (let i = 0; i < data.length; i++) data[i] = next() - offset
      return
    }
    const row = width * samples
    for (let n = 0; n < samples; n++) {
      for (let y = 0, at = n; y < height; y++) {
        for (let x = 0; x < width; x++, at += samples) {
          const before = x > 0 ? data[at - samples] : y > 0 ? data[at - row] : 0
          data[at] = next() - offset + before
        }
      }
    }
  }

  /** Function that reads the next symbol: a code table, then codes, the highest bit of words of 32 bits first. */
  symbols() {
    const [version, size, first, last] = [this.value(INT32), this.value(INT32), this.value(INT32), this.value(INT32)]
    if (version < 2 || first < 0 || last <= first || last - first > size || size > 2 ** 15) fail()
    const lengths = Uint8Array.from(this.unstuffed(last - first), (n) => (n <= MOST_CODE_BITS ? n : fail()))
    const bits = new WordBits(this.skip(this.bytes.length - this.at))
    const short = new Int32Array(2 ** LOOKUP_BITS)
    const long = new Map()
    let most = 0
    lengths.forEach((length, i) => {
      if (length === 0) return
      most = Math.max(most, length)
      const code = bits.peek(length)
      bits.take(length)
      const symbol = (first + i) % size
      if (length > LOOKUP_BITS) long.set(code * 64 + length, symbol)
      else {
        const from = code << (LOOKUP_BITS - length)
        short.fill(symbol * 64 + length, from, from + 2 ** (LOOKUP_BITS - length))
      }
    })
    bits.align()
    return () => {
      const found = short[bits.peek(LOOKUP_BITS)]
      if (found) {
        bits.take(found & 63)
        return found >> 6
      }
      for (let length = LOOKUP_BITS + 1; length <= most; length++) {
        const symbol = long.get(bits.peek(length) * 64 + length)
        if (symbol === undefined) continue
        bits.take(length)
        return symbol
      }
      return fail()
    }
  }
}

/** Type of an offset that `code` says is stored in fewer bytes than a sample. */
function reduced(type, code) {
  if (code === 0) return type
  const found = {
    2: [, 1, 0], 3: [, 1], 4: [, 3, 2, 1], 5: [, 3, 1], [FLOAT32]: [, 2, 1], [FLOAT64]: [, FLOAT32, INT32, 2],
  }[type]?.[code]
  return found ?? fail()
}

/** Bits of little-endian words, the highest first. */
class WordBits {
  constructor(bytes) {
    this.bytes = bytes
    this.bit = 0
    this.end = 8 * bytes.length
  }

  word(at) {
    const { bytes } = this
    return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0
  }

  /** The next bits, 1 to 32; zeros behind the end. */
  peek(count) {
    const [at, shift] = [(this.bit >> 5) * 4, this.bit & 31]
    let top = this.word(at) << shift
    if (shift + count > 32) top |= this.word(at + 4) >>> (32 - shift)
    return top >>> (32 - count)
  }

  take(count) {
    this.bit += count
    if (this.bit > this.end) fail()
  }

  align() {
    this.bit = (this.bit + 31) & ~31
  }
}
