// Electron Event Representation (Thermo Fisher): an image of the pixels that an electron hit.

/**
 * Decode counts of the pixels between events, of `skipbits` each, the lowest bit first.
 *
 * A count of all ones is added to the next one. After every other count, an event has bits that tell
 * its place within the pixel, which are not used.
 */
export function decodeEER(bytes, expected, { shape, skipbits, horzbits, vertbits, superres = 0 }) {
  if (superres) throw new RangeError('EER: places within pixels')
  if (shape[0] * shape[1] !== expected) throw new RangeError(`EER: an image of ${shape} for a chunk of ${expected}`)
  if (bytes.length % 2) throw new RangeError(`EER: ${bytes.length} bytes, which are no whole words of 16 bits`)
  const most = 2 ** skipbits - 1
  const place = horzbits + vertbits
  const out = new Uint8Array(expected)
  const end = 8 * bytes.length
  // What does not end before the stream does is no event, as in imagecodecs.
  for (let at = 0, pixel = 0; at + skipbits + place < end;) {
    const byte = at >> 3
    const word = (bytes[byte] | (bytes[byte + 1] << 8) | (bytes[byte + 2] << 16)) >> (at & 7)
    const count = word & most
    at += skipbits
    pixel += count
    if (pixel === expected) break
    if (pixel > expected) throw new RangeError('EER: an event outside of the image')
    if (count === most) continue
    out[pixel++] = 1
    at += place
  }
  return { data: out }
}
