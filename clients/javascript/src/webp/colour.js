// RGB of the planes of lossy WebP: chrominances are interpolated, and converted (ITU-R BT.601), as by libwebp.

const byte = (value) => (value < 0 ? 0 : value > 16383 ? 255 : value >> 6)

function convert(y, u, v, out, at) {
  const light = (y * 19077) >> 8
  out[at] = byte(light + ((v * 26149) >> 8) - 14234)
  out[at + 1] = byte(light - ((u * 6419) >> 8) - ((v * 13320) >> 8) + 8708)
  out[at + 2] = byte(light + ((u * 33050) >> 8) - 17685)
}

/** A row of a chrominance in full width, of the nearer row and the farther one: weights are 9, 3, 3 and 1. */
function interpolated(samples, near, far, width, out) {
  const ends = (place) => (3 * samples[near + place] + samples[far + place] + 2) >> 2
  out[0] = ends(0)
  const pairs = (width - 1) >> 1
  for (let x = 1; x <= pairs; x++) {
    const [nearLeft, nearRight] = [samples[near + x - 1], samples[near + x]]
    const [farLeft, farRight] = [samples[far + x - 1], samples[far + x]]
    const sum = nearLeft + nearRight + farLeft + farRight + 8
    out[2 * x - 1] = (((sum + 2 * (nearRight + farLeft)) >> 3) + nearLeft) >> 1
    out[2 * x] = (((sum + 2 * (nearLeft + farRight)) >> 3) + nearRight) >> 1
  }
  if (width % 2 === 0) out[width - 1] = ends(pairs)
}

/** Write the samples of a frame to `out`, in which pixels are `step` samples apart. */
export function toRGB({ width, height, planes }, out, step) {
  const [luminance, ...chrominances] = planes
  const [u, v] = chrominances.map(() => new Uint8Array(width))
  const last = (height - 1) >> 1
  for (let y = 0, at = 0; y < height; y++) {
    const near = y >> 1
    const far = Math.max(0, Math.min(last, y % 2 ? near + 1 : near - 1))
    chrominances.forEach(({ samples, at: place }, n) => {
      const rowAt = (row) => place(0, 0) + row * chrominances[n].stride
      interpolated(samples, rowAt(near), rowAt(far), width, n === 0 ? u : v)
    })
    const first = luminance.at(0, 0) + y * luminance.stride
    for (let x = 0; x < width; x++, at += step) convert(luminance.samples[first + x], u[x], v[x], out, at)
  }
}
