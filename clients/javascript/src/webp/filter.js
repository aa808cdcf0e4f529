// Loop filter of lossy WebP (RFC 6386 section 15).

const limit = (value, most) => (value < -most - 1 ? -most - 1 : value > most ? most : value)

/** Change the sample on each side of an edge. */
function filterTwo(s, at, step, isWide) {
  const [p1, p0, q0, q1] = [s[at - 2 * step], s[at - step], s[at], s[at + step]]
  const a = 3 * (q0 - p0) + (isWide ? limit(p1 - q1, 127) : 0)
  const first = limit((a + 4) >> 3, 15)
  s[at - step] = p0 + limit((a + 3) >> 3, 15)
  s[at] = q0 - first
  return first
}

/** Change two samples on each side: inside of macroblocks. */
function filterFour(s, at, step) {
  const [p1, q1] = [s[at - 2 * step], s[at + step]]
  const outer = (filterTwo(s, at, step, false) + 1) >> 1
  s[at - 2 * step] = p1 + outer
  s[at + step] = q1 - outer
}

/** Change three samples on each side: between macroblocks. */
function filterSix(s, at, step) {
  const [p2, p1, p0] = [s[at - 3 * step], s[at - 2 * step], s[at - step]]
  const [q0, q1, q2] = [s[at], s[at + step], s[at + 2 * step]]
  const a = limit(3 * (q0 - p0) + limit(p1 - q1, 127), 127)
  const [near, middle, far] = [(27 * a + 63) >> 7, (18 * a + 63) >> 7, (9 * a + 63) >> 7]
  s[at - 3 * step] = p2 + far
  s[at - 2 * step] = p1 + middle
  s[at - step] = p0 + near
  s[at] = q0 - near
  s[at + step] = q1 - middle
  s[at + 2 * step] = q2 - far
}

const isEdge = (s, at, step, most) =>
  4 * Math.abs(s[at - step] - s[at]) + Math.abs(s[at - 2 * step] - s[at + step]) <= most

const isSmooth = (s, at, step, most) =>
  Math.abs(s[at - 4 * step] - s[at - 3 * step]) <= most && Math.abs(s[at - 3 * step] - s[at - 2 * step]) <= most &&
  Math.abs(s[at - 2 * step] - s[at - step]) <= most && Math.abs(s[at + 3 * step] - s[at + 2 * step]) <= most &&
  Math.abs(s[at + 2 * step] - s[at + step]) <= most && Math.abs(s[at + step] - s[at]) <= most

const isVaried = (s, at, step, most) =>
  Math.abs(s[at - 2 * step] - s[at - step]) > most || Math.abs(s[at + step] - s[at]) > most

/** Filter along an edge of `count` samples, `along` apart; across it they are `step` apart. */
function filterEdge(s, at, step, along, count, edge, strength, isInner) {
  const most = 2 * edge + 1
  for (let n = 0; n < count; n++, at += along) {
    if (!isEdge(s, at, step, most)) continue
    if (strength === undefined) filterTwo(s, at, step, true)
    else if (!isSmooth(s, at, step, strength.interior)) continue
    else if (isVaried(s, at, step, strength.variance)) filterTwo(s, at, step, true)
    else if (isInner) filterFour(s, at, step)
    else filterSix(s, at, step)
  }
}

/** Filter a square of a plane: its left edge, edges of blocks, its upper edge, edges of blocks. */
function filterSquare({ samples, stride }, at, size, { x, y, edge, inner, strength }) {
  for (const [isThere, step, along] of [[x > 0, 1, stride], [y > 0, stride, 1]]) {
    if (isThere) filterEdge(samples, at, step, along, size, edge + 4, strength, false)
    for (let n = 4; inner && n < size; n += 4) {
      filterEdge(samples, at + n * step, step, along, size, edge, strength, true)
    }
  }
}

/** Filter all macroblocks of a frame, in order: each changes samples of those before it. */
export function filterFrame(planes, { across, down, strengths, isSimple, isInner, kinds }) {
  for (let y = 0, n = 0; y < down; y++) {
    for (let x = 0; x < across; x++, n++) {
      const strength = strengths[kinds[n] >> 1][kinds[n] & 1]
      if (strength.edge === 0) continue
      const how = { x, y, edge: strength.edge, inner: isInner[n] === 1, strength: isSimple ? undefined : strength }
      planes.forEach((plane, p) => {
        if (isSimple && p > 0) return
        const size = p === 0 ? 16 : 8
        filterSquare(plane, plane.at(x, y), size, how)
      })
    }
  }
}
