// YCbCr to RGB as libtiff converts it (tif_color.c): tables of integers, made with 32-bit floats.

const f = Math.fround
const clamp = (value, least, most) => (value < least ? least : value > most ? most : value)
const fixed = (x) => Math.trunc(f(x * 65536) + 0.5)

/** A conversion by the tags YCbCrCoefficients and ReferenceBlackWhite, or their defaults. */
export function converter(tags) {
  const [red, green, blue] = tags(529, [0.299, 0.587, 0.114]).map(f)
  const reference = tags(532, [0, 255, 128, 255, 128, 255]).map(f)
  const f1 = f(2 - f(2 * red))
  const f2 = f(f(red * f1) / green)
  const f3 = f(2 - f(2 * blue))
  const f4 = f(f(blue * f3) / green)
  const [d1, d2, d3, d4] = [f1, f2, f3, f4].map((x) => fixed(clamp(x, 0, 2)))
  const value = (code, black, white, most) => {
    const range = f(white - black)
    const scaled = f(f(f(code - Math.trunc(black)) * most) / (range === 0 ? 1 : range))
    return Math.trunc(clamp(scaled, -4096, 4096))
  }
  const tables = { y: new Int32Array(256), r: new Int32Array(256), cb: new Int32Array(256), cr: new Int32Array(256), b: new Int32Array(256) }
  for (let i = 0; i < 256; i++) {
    const x = i - 128
    const cb = value(x, f(reference[2] - 128), f(reference[3] - 128), 127)
    const cr = value(x, f(reference[4] - 128), f(reference[5] - 128), 127)
    tables.y[i] = value(i, reference[0], reference[1], 255)
    tables.r[i] = (d1 * cr + 32768) >> 16
    tables.b[i] = (d3 * cb + 32768) >> 16
    tables.cr[i] = -d2 * cr
    tables.cb[i] = -d4 * cb + 32768
  }
  return (y, cb, cr, out, at) => {
    const light = tables.y[y]
    out[at] = clamp(light + tables.r[cr], 0, 255)
    out[at + 1] = clamp(light + ((tables.cb[cb] + tables.cr[cr]) >> 16), 0, 255)
    out[at + 2] = clamp(light + tables.b[cb], 0, 255)
  }
}
