// LZMA2, the compression of .xz files.

class RangeDecoder {
  constructor(data, at) {
    this.data = data
    this.range = 0xffffffff
    this.code = 0
    this.at = at + 1
    if (data[at] !== 0) throw new Error('LZMA: damaged stream')
    for (let i = 0; i < 4; i++) this.code = ((this.code << 8) | data[this.at++]) >>> 0
  }
  /** Whether it ends here: with nothing left of the code. */
  endsAt(at) {
    this.normalise()
    return this.at === at && this.code === 0
  }
  normalise() {
    if (this.range < 0x1000000) {
      this.range = (this.range << 8) >>> 0
      this.code = ((this.code << 8) | this.data[this.at++]) >>> 0
    }
  }
  bit(p, i) {
    if (this.range < 0x1000000) this.normalise()
    const v = p[i]
    const bound = (this.range >>> 11) * v
    if (this.code < bound) {
      this.range = bound
      p[i] = v + ((2048 - v) >> 5)
      return 0
    }
    this.range = (this.range - bound) >>> 0
    this.code = (this.code - bound) >>> 0
    p[i] = v - (v >> 5)
    return 1
  }
  direct(n) {
    let out = 0
    while (n-- > 0) {
      if (this.range < 0x1000000) this.normalise()
      this.range >>>= 1
      let b = 0
      if (this.code >= this.range) {
        this.code = (this.code - this.range) >>> 0
        b = 1
      }
      out = out * 2 + b
    }
    return out
  }
  tree(p, base, n) {
    let m = 1
    for (let i = 0; i < n; i++) m = (m << 1) | this.bit(p, base + m)
    return m - (1 << n)
  }
  reverse(p, base, n) {
    let [m, out] = [1, 0]
    for (let i = 0; i < n; i++) {
      const b = this.bit(p, base + m)
      m = (m << 1) | b
      out |= b << i
    }
    return out
  }
}

const probabilities = (n) => new Uint16Array(n).fill(1024)
const lengths = () => ({
  choice: probabilities(2),
  low: probabilities(16 * 8),
  mid: probabilities(16 * 8),
  high: probabilities(256),
})

export class LZMA2 {
  constructor(limit) {
    this.out = new Uint8Array(limit)
    this.size = 0
    this.begin()
  }
  /** Prepare for a block: its first chunk has a new dictionary and, if it is compressed, properties. */
  begin() {
    // Where the dictionary begins.
    this.start = undefined
    this.hasProperties = false
  }
  room(n) {
    if (this.size + n > this.out.length) {
      throw new RangeError(`LZMA: more than the ${this.out.length} bytes of the chunk`)
    }
  }
  dictionary(isNew) {
    if (isNew) {
      this.start = this.size
      this.hasProperties = false
    } else if (this.start === undefined) throw new Error('LZMA2: no dictionary')
  }
  properties(byte) {
    this.hasProperties = true
    this.lc = byte % 9
    this.lp = Math.floor(byte / 9) % 5
    this.pb = Math.floor(byte / 45)
    if (byte >= 225 || this.lc + this.lp > 4) throw new Error('LZMA: bad properties')
  }
  reset() {
    this.state = 0
    this.reps = [0, 0, 0, 0]
    this.isMatch = probabilities(12 << 4)
    this.isRep = probabilities(12)
    this.isRepG0 = probabilities(12)
    this.isRepG1 = probabilities(12)
    this.isRepG2 = probabilities(12)
    this.isRep0Long = probabilities(12 << 4)
    this.slots = probabilities(4 * 64)
    this.special = probabilities(128)
    this.align = probabilities(16)
    this.len = lengths()
    this.repLen = lengths()
    this.literal = probabilities(0x300 << (this.lc + this.lp))
  }
  length(rc, l, pos) {
    if (!rc.bit(l.choice, 0)) return 2 + rc.tree(l.low, pos << 3, 3)
    if (!rc.bit(l.choice, 1)) return 10 + rc.tree(l.mid, pos << 3, 3)
    return 18 + rc.tree(l.high, 0, 8)
  }
  chunk(rc, n) {
    this.room(n)
    const { out } = this
    const end = this.size + n
    const reps = this.reps
    while (this.size < end) {
      const pos = (this.size - this.start) & ((1 << this.pb) - 1)
      if (!rc.bit(this.isMatch, (this.state << 4) + pos)) {
        const before = this.size > this.start ? out[this.size - 1] : 0
        const at = this.size - this.start
        const base = 0x300 * (((at & ((1 << this.lp) - 1)) << this.lc) + (before >> (8 - this.lc)))
        let symbol = 1
        if (this.state >= 7) {
          let match = out[this.size - reps[0] - 1]
          do {
            const b = (match >> 7) & 1
            match <<= 1
            const bit = rc.bit(this.literal, base + ((1 + b) << 8) + symbol)
            symbol = (symbol << 1) | bit
            if (b !== bit) break
          } while (symbol < 0x100)
        }
        while (symbol < 0x100) symbol = (symbol << 1) | rc.bit(this.literal, base + symbol)
        out[this.size++] = symbol
        this.state = this.state < 4 ? 0 : this.state < 10 ? this.state - 3 : this.state - 6
        continue
      }
      let len
      if (rc.bit(this.isRep, this.state)) {
        if (!rc.bit(this.isRepG0, this.state)) {
          if (!rc.bit(this.isRep0Long, (this.state << 4) + pos)) {
            this.state = this.state < 7 ? 9 : 11
            out[this.size] = out[this.size - reps[0] - 1]
            this.size++
            continue
          }
        } else {
          let dist
          if (!rc.bit(this.isRepG1, this.state)) dist = reps[1]
          else {
            if (!rc.bit(this.isRepG2, this.state)) dist = reps[2]
            else {
              dist = reps[3]
              reps[3] = reps[2]
            }
            reps[2] = reps[1]
          }
          reps[1] = reps[0]
          reps[0] = dist
        }
        len = this.length(rc, this.repLen, pos)
        this.state = this.state < 7 ? 8 : 11
      } else {
        reps[3] = reps[2]
        reps[2] = reps[1]
        reps[1] = reps[0]
        len = this.length(rc, this.len, pos)
        this.state = this.state < 7 ? 7 : 10
        const slot = rc.tree(this.slots, Math.min(len - 2, 3) << 6, 6)
        let dist = slot
        if (slot >= 4) {
          const n = (slot >> 1) - 1
          dist = (2 | (slot & 1)) * 2 ** n
          if (slot < 14) dist += rc.reverse(this.special, dist - slot, n)
          else dist += rc.direct(n - 4) * 16 + rc.reverse(this.align, 0, 4)
        }
        reps[0] = dist
      }
      if (reps[0] >= this.size - this.start || this.size + len > end) throw new Error('LZMA: bad distance')
      for (let from = this.size - reps[0] - 1; len > 0; len--) out[this.size++] = out[from++]
    }
  }
  /** Decode from `at`, and return where the stream ends. */
  decode(data, at) {
    for (;;) {
      const control = data[at++]
      if (control === undefined) throw new Error('LZMA2 stream ends early')
      if (control === 0) return at
      if (control < 0x80) {
        if (control > 2) throw new Error('LZMA2: bad chunk')
        this.dictionary(control === 1)
        const n = ((data[at] << 8) | data[at + 1]) + 1
        if (at + 2 + n > data.length) throw new Error('LZMA2 stream ends early')
        this.room(n)
        this.out.set(data.subarray(at + 2, at + 2 + n), this.size)
        this.size += n
        at += 2 + n
        continue
      }
      this.dictionary(control >= 0xe0)
      const n = (((control & 31) << 16) | (data[at] << 8) | data[at + 1]) + 1
      const packed = ((data[at + 2] << 8) | data[at + 3]) + 1
      at += 4
      if (control >= 0xc0) this.properties(data[at++])
      if (!this.hasProperties) throw new Error('LZMA2: no properties')
      if (control >= 0xa0) this.reset()
      const range = new RangeDecoder(data, at)
      this.chunk(range, n)
      at += packed
      if (!range.endsAt(at)) throw new Error('LZMA: damaged stream')
    }
  }
}
