// Compressions of two scanners and computers, as libtiff decodes them: a pixel has 4 bits, or 2.

const damaged = (what) => new RangeError(`TIFF: ${what}`)

const OF_TWO_BITS = [0, 1, null, -1]
const OF_THREE_BITS = [0, 1, 2, 3, null, -3, -2, -1]

/** ThunderScan: runs of the last pixel, and differences to it; a row begins with a byte. */
export function decodeThunderScan(data, height, width) {
  const out = new Uint8Array(height * width)
  for (let y = 0, at = 0; y < height; y++) {
    const end = (y + 1) * width
    let place = y * width
    let last = 0
    const put = (value) => {
      last = value & 15
      if (place < end) out[place++] = last
    }
    const change = (difference) => difference !== null && put(last + difference)
    while (place < end) {
      if (at >= data.length) throw damaged('ThunderScan ends early')
      const code = data[at++]
      const value = code & 63
      if (code >> 6 === 0) {
        if (place + value > end) throw damaged('a run of ThunderScan that is longer than its row')
        out.fill(last, place, (place += value))
      } else if (code >> 6 === 1) for (const shift of [4, 2, 0]) change(OF_TWO_BITS[(value >> shift) & 3])
      else if (code >> 6 === 2) for (const shift of [3, 0]) change(OF_THREE_BITS[(value >> shift) & 7])
      else put(value)
    }
  }
  return out
}

const [LITERAL_ROW, LITERAL_SPAN, WHITE] = [0x00, 0x40, 3]

/** NeXT: rows as they are, or in part, or as runs. What is not there is white. */
export function decodeNeXT(data, height, width) {
  const out = new Uint8Array(height * width).fill(WHITE)
  const rowBytes = Math.ceil(width / 4)
  let at = 0
  const take = (count) => {
    if (at + count > data.length) throw damaged('NeXT ends early')
    return data.subarray(at, (at += count))
  }
  const copy = (first, bytes) => {
    const pixels = Math.min(4 * bytes.length, width - 4 * first.column)
    for (let n = 0; n < pixels; n++) out[first.row + 4 * first.column + n] = (bytes[n >> 2] >> (6 - 2 * (n & 3))) & 3
  }
  for (let y = 0; y < height && at < data.length; y++) {
    const row = y * width
    const kind = take(1)[0]
    if (kind === LITERAL_ROW) copy({ row, column: 0 }, take(rowBytes))
    else if (kind === LITERAL_SPAN) {
      const [a, b, c, d] = take(4)
      const [column, count] = [256 * a + b, 256 * c + d]
      if (column + count > rowBytes) throw damaged('a span of NeXT that is longer than its row')
      copy({ row, column }, take(count))
    } else {
      for (let x = 0, code = kind; ; [code] = take(1)) {
        const end = Math.min(width, x + (code & 63))
        out.fill(code >> 6, row + x, row + end)
        x = end
        if (x === width) break
      }
    }
  }
  return out
}
