// "Fancy" upsampling of libjpeg (jdsample.c): triangle filters, and replication where there is none.

/**
 * Returns a function of `y` to the samples that a component has in a row of the image; they are kept until it is
 * called again.
 */
export function rowsOf({ component: c, data, stride, rows }, frame) {
  const [hx, vx] = [frame.hMax / c.h, frame.vMax / c.v]
  const w = frame.width
  const at = (y) => (Math.min(Math.max(y, 0), c.height - 1) % rows) * stride
  const near = (y) => at(y >> 1)
  const far = (y) => at((y >> 1) + (y & 1 ? 1 : -1))
  const n = c.width
  if (hx === 1 && vx === 1) return (y) => data.subarray(at(y), at(y) + w)
  if (hx === 2 && vx === 1 && n > 2) {
    const line = new data.constructor(2 * n)
    return (y) => {
      const i = at(y)
      line[0] = data[i]
      line[1] = (data[i] * 3 + data[i + 1] + 2) >> 2
      for (let x = 1; x < n - 1; x++) {
        const v = data[i + x] * 3
        line[2 * x] = (v + data[i + x - 1] + 1) >> 2
        line[2 * x + 1] = (v + data[i + x + 1] + 2) >> 2
      }
      line[2 * n - 2] = (data[i + n - 1] * 3 + data[i + n - 2] + 1) >> 2
      line[2 * n - 1] = data[i + n - 1]
      return line.subarray(0, w)
    }
  }
  if (hx === 2 && vx === 2 && n > 2) {
    const line = new data.constructor(2 * n)
    const sums = new Int32Array(n)
    return (y) => {
      const [i, j] = [near(y), far(y)]
      for (let x = 0; x < n; x++) sums[x] = data[i + x] * 3 + data[j + x]
      line[0] = (sums[0] * 4 + 8) >> 4
      line[1] = (sums[0] * 3 + sums[1] + 7) >> 4
      for (let x = 1; x < n - 1; x++) {
        line[2 * x] = (sums[x] * 3 + sums[x - 1] + 8) >> 4
        line[2 * x + 1] = (sums[x] * 3 + sums[x + 1] + 7) >> 4
      }
      line[2 * n - 2] = (sums[n - 1] * 3 + sums[n - 2] + 8) >> 4
      line[2 * n - 1] = (sums[n - 1] * 4 + 7) >> 4
      return line.subarray(0, w)
    }
  }
  const line = new data.constructor(w)
  if (hx === 1 && vx === 2) {
    return (y) => {
      const [i, j] = [near(y), far(y)]
      const bias = y & 1 ? 2 : 1
      for (let x = 0; x < w; x++) line[x] = (data[i + x] * 3 + data[j + x] + bias) >> 2
      return line
    }
  }
  return (y) => {
    const i = at(Math.floor(y / vx))
    for (let x = 0; x < w; x++) line[x] = data[i + Math.floor(x / hx)]
    return line
  }
}
