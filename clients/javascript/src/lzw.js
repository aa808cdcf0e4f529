/**
 * LZW of TIFF 6.0 section 13, and as it was before TIFF 6.0: lowest bit first, which the first two
 * bytes show (a clear code, 0x00 0x01).
 *
 * Decodes at most `limit` bytes: some writers omit the end code and pad the stream.
 */
export function decodeLZW(bytes, limit) {
  const old = bytes.length > 1 && bytes[0] === 0 && (bytes[1] & 1) === 1
  const prefix = new Uint16Array(4097)
  const suffix = new Uint8Array(4097)
  const length = new Uint16Array(4097)
  for (let i = 0; i < 256; i++) {
    suffix[i] = i
    length[i] = 1
  }
  const out = new Uint8Array(limit)
  let [size, at, buffer, count, width, next, previous] = [0, 0, 0, 0, 9, 258, -1]
  while (size < limit) {
    while (count < width) {
      if (at >= bytes.length) return out.subarray(0, size)
      buffer = old ? buffer | (bytes[at++] << count) : ((buffer << 8) | bytes[at++]) & 0xffffff
      count += 8
    }
    count -= width
    let code
    if (old) {
      code = buffer & ((1 << width) - 1)
      buffer >>>= width
    } else code = (buffer >>> count) & ((1 << width) - 1)
    if (code === 257) break
    if (code === 256) {
      ;[width, next, previous] = [9, 258, -1]
      continue
    }
    if (code > next || (previous < 0 && code > 255)) {
      throw new Error(`LZW: code ${code} where the table has ${next}`)
    }
    // The code that is about to be added repeats the text before, and its first byte.
    const repeated = previous >= 0 && code === next
    const text = repeated ? previous : code
    const first = size
    const end = first + length[text]
    for (let c = text, i = end - 1; i >= first; c = prefix[c], i--) {
      if (i < limit) out[i] = suffix[c]
    }
    size = end
    if (repeated) {
      if (size < limit) out[size] = out[first]
      size++
    }
    if (previous >= 0 && next < 4096) {
      prefix[next] = previous
      suffix[next] = out[first]
      length[next] = length[previous] + 1
      next++
      if ((old ? next : next + 1) >= 1 << width && width < 12) width++
    }
    previous = code
  }
  return out.subarray(0, Math.min(size, limit))
}
