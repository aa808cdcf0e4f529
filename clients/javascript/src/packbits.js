/** PackBits (TIFF 6.0 section 9); decodes at most `limit` bytes. */
export function decodePackBits(bytes, limit) {
  const out = new Uint8Array(limit)
  let [at, size] = [0, 0]
  while (at < bytes.length && size < limit) {
    const n = bytes[at++]
    if (n < 128) {
      if (at + n >= bytes.length) throw new RangeError('PackBits: the stream ends early')
      const part = bytes.subarray(at, at + Math.min(n + 1, limit - size))
      out.set(part, size)
      size += part.length
      at += n + 1
    } else if (n > 128) {
      if (at >= bytes.length) throw new RangeError('PackBits: the stream ends early')
      const end = Math.min(size + 257 - n, limit)
      out.fill(bytes[at++], size, end)
      size = end
    }
  }
  return out.subarray(0, size)
}
