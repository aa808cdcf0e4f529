// The slow integer inverse DCT of libjpeg (jidctint.c), so that samples are those of libjpeg-turbo.

const work = new Int32Array(64)

/** Transform a block of coefficients `z` from index `k` on, dequantised by `q`, into a plane. */
export function transform(z, k, q, out, at, stride, precision) {
  const pass1 = precision === 8 ? 2 : 1
  const center = 1 << (precision - 1)
  const most = (1 << precision) - 1
  for (let pass = 0; pass < 2; pass++) {
    const shift = pass === 0 ? 13 - pass1 : 13 + pass1 + 3
    const half = 1 << (shift - 1)
    for (let i = 0; i < 8; i++) {
      let c0, c1, c2, c3, c4, c5, c6, c7
      if (pass === 0) {
        const n = k + i
        c0 = z[n] * q[i]
        c1 = z[n + 8] * q[i + 8]
        c2 = z[n + 16] * q[i + 16]
        c3 = z[n + 24] * q[i + 24]
        c4 = z[n + 32] * q[i + 32]
        c5 = z[n + 40] * q[i + 40]
        c6 = z[n + 48] * q[i + 48]
        c7 = z[n + 56] * q[i + 56]
      } else {
        const n = 8 * i
        c0 = work[n]
        c1 = work[n + 1]
        c2 = work[n + 2]
        c3 = work[n + 3]
        c4 = work[n + 4]
        c5 = work[n + 5]
        c6 = work[n + 6]
        c7 = work[n + 7]
      }
      const e = (c2 + c6) * 4433
      const t2 = e - c6 * 15137
      const t3 = e + c2 * 6270
      const t0 = (c0 + c4) * 8192
      const t1 = (c0 - c4) * 8192
      const a0 = t0 + t3
      const a3 = t0 - t3
      const a1 = t1 + t2
      const a2 = t1 - t2
      let z1 = c7 + c1
      let z2 = c5 + c3
      let z3 = c7 + c3
      let z4 = c5 + c1
      const z5 = (z3 + z4) * 9633
      z1 *= -7373
      z2 *= -20995
      z3 = z3 * -16069 + z5
      z4 = z4 * -3196 + z5
      const o0 = c7 * 2446 + z1 + z3
      const o1 = c5 * 16819 + z2 + z4
      const o2 = c3 * 25172 + z2 + z3
      const o3 = c1 * 12299 + z1 + z4
      if (pass === 0) {
        work[i] = (a0 + o3 + half) >> shift
        work[i + 56] = (a0 - o3 + half) >> shift
        work[i + 8] = (a1 + o2 + half) >> shift
        work[i + 48] = (a1 - o2 + half) >> shift
        work[i + 16] = (a2 + o1 + half) >> shift
        work[i + 40] = (a2 - o1 + half) >> shift
        work[i + 24] = (a3 + o0 + half) >> shift
        work[i + 32] = (a3 - o0 + half) >> shift
      } else {
        const n = at + i * stride
        const put = (j, value) => {
          const v = ((value + half) >> shift) + center
          out[n + j] = v < 0 ? 0 : v > most ? most : v
        }
        put(0, a0 + o3)
        put(7, a0 - o3)
        put(1, a1 + o2)
        put(6, a1 - o2)
        put(2, a2 + o1)
        put(5, a2 - o1)
        put(3, a3 + o0)
        put(4, a3 - o0)
      }
    }
  }
}
