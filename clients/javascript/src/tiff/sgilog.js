/**
 * 16-bit SGI LogL (libtiff, tif_luv.c): in each row runs of the high bytes, then of the low ones.
 *
 * Bytes that are missing at the end of a segment are an error.
 */
export function decodeLogL(bytes, rows, columns) {
  const out = new Int16Array(rows * columns)
  let at = 0
  for (let y = 0; y < rows; y++) {
    for (const shift of [8, 0]) {
      const end = (y + 1) * columns
      let i = y * columns
      while (i < end) {
        if (at + 1 >= bytes.length) throw new RangeError('SGI LogL: the segment ends early')
        const code = bytes[at++]
        if (code >= 128) {
          const value = bytes[at++] << shift
          for (let n = code - 126; n > 0 && i < end; n--) out[i++] |= value
        } else {
          if (at + code > bytes.length) throw new RangeError('SGI LogL: the segment ends early')
          for (let n = code; n > 0 && i < end; n--) out[i++] |= bytes[at++] << shift
        }
      }
    }
  }
  return out
}
