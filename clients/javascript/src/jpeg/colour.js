// Colour conversion of libjpeg (jdcolor.c), in its fixed-point arithmetic.

/** Convert YCbCr to RGB in place; further samples stay. */
export function toRGB(out, samples, most, from, to) {
  const center = (most + 1) >> 1
  for (let i = from; i < to; i += samples) {
    const y = out[i]
    const cb = out[i + 1] - center
    const cr = out[i + 2] - center
    const r = y + ((91881 * cr + 32768) >> 16)
    const g = y + ((-22554 * cb - 46802 * cr + 32768) >> 16)
    const b = y + ((116130 * cb + 32768) >> 16)
    out[i] = r < 0 ? 0 : r > most ? most : r
    out[i + 1] = g < 0 ? 0 : g > most ? most : g
    out[i + 2] = b < 0 ? 0 : b > most ? most : b
  }
}
