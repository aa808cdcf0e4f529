// "Fancy" upsampling of libjpeg (jdsample.c): triangle filters, and replication where there is none.

/** Enlarge a component to the size of the image. */
export function enlarge(c, { data, stride }, f, Type) {
  const [hx, vx] = [f.hMax / c.h, f.vMax / c.v]
  const [w, h] = [f.width, f.height]
  const out = new Type(w * h)
  const row = (y) => Math.min(Math.max(y, 0), c.height - 1) * stride
  if (hx === 1 && vx === 1) {
    for (let y = 0; y < h; y++) out.set(data.subarray(y * stride, y * stride + w), y * w)
  } else if (hx === 2 && vx === 1 && c.width > 2) {
    const line = new Type(2 * c.width)
    for (let y = 0; y < h; y++) {
      const i = y * stride
      const n = c.width
      line[0] = data[i]
      line[1] = (data[i] * 3 + data[i + 1] + 2) >> 2
      for (let x = 1; x < n - 1; x++) {
        const v = data[i + x] * 3
        line[2 * x] = (v + data[i + x - 1] + 1) >> 2
        line[2 * x + 1] = (v + data[i + x + 1] + 2) >> 2
      }
      line[2 * n - 2] = (data[i + n - 1] * 3 + data[i + n - 2] + 1) >> 2
      line[2 * n - 1] = data[i + n - 1]
      out.set(line.subarray(0, w), y * w)
    }
  } else if (hx === 2 && vx === 2 && c.width > 2) {
    const n = c.width
    const line = new Type(2 * n)
    const sums = new Int32Array(n)
    for (let y = 0; y < h; y++) {
      const near = row(y >> 1)
      const far = row((y >> 1) + (y & 1 ? 1 : -1))
      for (let x = 0; x < n; x++) sums[x] = data[near + x] * 3 + data[far + x]
      line[0] = (sums[0] * 4 + 8) >> 4
      line[1] = (sums[0] * 3 + sums[1] + 7) >> 4
      for (let x = 1; x < n - 1; x++) {
        line[2 * x] = (sums[x] * 3 + sums[x - 1] + 8) >> 4
        line[2 * x + 1] = (sums[x] * 3 + sums[x + 1] + 7) >> 4
      }
      line[2 * n - 2] = (sums[n - 1] * 3 + sums[n - 2] + 8) >> 4
      line[2 * n - 1] = (sums[n - 1] * 4 + 7) >> 4
      out.set(line.subarray(0, w), y * w)
    }
  } else if (hx === 1 && vx === 2) {
    for (let y = 0; y < h; y++) {
      const near = row(y >> 1)
      const far = row((y >> 1) + (y & 1 ? 1 : -1))
      const bias = y & 1 ? 2 : 1
      for (let x = 0; x < w; x++) out[y * w + x] = (data[near + x] * 3 + data[far + x] + bias) >> 2
    }
  } else {
    for (let y = 0; y < h; y++) {
      const i = Math.floor(y / vx) * stride
      for (let x = 0; x < w; x++) out[y * w + x] = data[i + Math.floor(x / hx)]
    }
  }
  return out
}
