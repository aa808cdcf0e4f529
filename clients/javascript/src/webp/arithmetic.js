// Boolean decoder of lossy WebP (RFC 6386 section 7).

/** Numbers of a partition, of which each bit has a probability. */
export class Partition {
  constructor(bytes) {
    Object.assign(this, { bytes, at: 0, value: 0, count: -8, range: 254, isOver: false })
  }

  /** A bit that is 0 with a probability of `probability` / 256. */
  bit(probability) {
    if (this.count < 0) {
      // Behind the end of a partition are eight zeros; what needs more is damaged.
      if (this.at < this.bytes.length) this.value = (this.value << 8) | this.bytes[this.at++]
      else {
        this.value <<= 8
        this.isOver = true
      }
      this.count += 8
    }
    const split = (this.range * probability) >> 8
    const isOne = this.value >> this.count > split
    let range = split + 1
    if (isOne) {
      range = this.range - split
      this.value -= (split + 1) << this.count
    }
    const shift = Math.clz32(range) - 24
    this.count -= shift
    this.range = (range << shift) - 1
    return isOne ? 1 : 0
  }

  flag() {
    return this.bit(128) === 1
  }

  number(count) {
    let value = 0
    for (let n = 0; n < count; n++) value = 2 * value + this.bit(128)
    return value
  }

  signed(count) {
    const value = this.number(count)
    return this.flag() ? -value : value
  }

  /** A signed number, or 0 without a flag before it. */
  optional(count) {
    return this.flag() ? this.signed(count) : 0
  }
}
