// Bits and Huffman codes of entropy-coded segments (ITU-T T.81 annexes C and F).

/** Lookup of 16 bits: length << 8 | symbol; 0 is no code. */
export function huffman(counts, symbols) {
  const table = new Uint16Array(65536)
  let [code, k] = [0, 0]
  for (let length = 1; length <= 16; length++) {
    // A code of ones alone is not allowed (section C.2).
    if (counts[length - 1] > 0 && code + counts[length - 1] >= 1 << length) throw new Error('JPEG: a bad Huffman table')
    for (let i = 0; i < counts[length - 1]; i++, k++, code++) {
      const from = code << (16 - length)
      table.fill((length << 8) | symbols[k], from, from + (1 << (16 - length)))
    }
    code <<= 1
  }
  return table
}

export class Bits {
  constructor(data, at) {
    this.data = data
    this.at = at
    this.buffer = 0
    this.count = 0
    this.padding = 0
    this.ended = false
  }

  /** Whether zeros were read that are behind the end. libjpeg leaves out what follows, up to a restart. */
  get isOut() {
    return this.count < this.padding
  }

  // Zeros once a marker or the end is reached, as in libjpeg.
  fill() {
    const { data } = this
    while (this.count <= 16) {
      let byte = 0
      if (!this.ended) {
        byte = data[this.at]
        if (byte === 0xff) {
          let next = this.at + 1
          while (data[next] === 0xff) next++
          if (data[next] === 0) this.at = next + 1
          else [byte, this.ended] = [0, true]
        } else if (byte === undefined) [byte, this.ended] = [0, true]
        else this.at++
      }
      if (this.ended) this.padding += 8
      this.buffer = (this.buffer << 8) | byte
      this.count += 8
    }
  }

  symbol(table) {
    if (this.count < 17) this.fill()
    const found = table[(this.buffer >>> (this.count - 16)) & 0xffff]
    if (!found) {
      // As libjpeg, which looks for longer codes than there are.
      this.count -= 17
      return 0
    }
    this.count -= found >> 8
    return found & 0xff
  }

  bits(n) {
    if (n === 0) return 0
    if (this.count < n) this.fill()
    this.count -= n
    return (this.buffer >>> this.count) & ((1 << n) - 1)
  }

  /** A number of n bits, extended as section F.2.2.1 says. */
  signed(n) {
    if (n === 0) return 0
    const value = this.bits(n)
    return value < 1 << (n - 1) ? value - (1 << n) + 1 : value
  }

  /** Continue after the next restart marker. */
  restart() {
    const wasOut = this.isOut
    this.count = this.buffer = this.padding = 0
    this.ended = false
    const { data } = this
    for (; this.at + 1 < data.length; this.at++) {
      if (data[this.at] !== 0xff) continue
      const marker = data[this.at + 1]
      if (marker >= 0xd0 && marker <= 0xd7) {
        this.at += 2
        return
      }
      if (marker > 0 && marker < 0xff) break
    }
    this.ended = true
    this.padding = wasOut ? 1 : 0
  }

  /** Where the next marker is that is neither a stuffed byte nor a restart. */
  end() {
    const { data } = this
    for (let at = this.at; at + 1 < data.length; at++) {
      const marker = data[at + 1]
      if (data[at] === 0xff && marker !== 0 && marker !== 0xff && !(marker >= 0xd0 && marker <= 0xd7)) {
        return at
      }
    }
    return data.length
  }
}
