// Planes of the components of a DCT image, whole or as many of their rows as upsampling needs.

import { transform } from './idct.js'

/** Rows of MCUs whose samples are kept: to enlarge one takes the rows before and after it. */
const KEPT = 3
/** Coefficients of a component without a scan are zeros, whatever they are multiplied by. */
const NO_TABLE = new Uint16Array(64)

/** Reserve the coefficients of a frame: those of a row of MCUs where `inStripes`, or all. */
export function reserve({ components, mcusY }, inStripes) {
  for (const c of components) {
    c.blockRows = (inStripes ? 1 : mcusY) * c.v
    c.coefficients = new Int16Array(64 * c.blocksX * c.blockRows)
  }
}

export class Planes {
  /** With `emit`, rows of the image are passed to it in their order, and planes have no more than `KEPT` rows of MCUs. */
  constructor(frame, emit) {
    this.frame = frame
    this.emit = emit
    this.emitted = 0
    const mcus = emit ? Math.min(KEPT, frame.mcusY) : frame.mcusY
    const Type = frame.precision > 8 ? Uint16Array : Uint8Array
    this.planes = frame.components.map((component) => {
      const [stride, rows] = [8 * component.blocksX, 8 * component.v * mcus]
      return { component, stride, rows, data: new Type(stride * rows) }
    })
  }

  /** Transform a row of MCUs: the one after that of the last call. */
  add(mcu) {
    const { frame, planes, emit } = this
    for (const { component: c, data, stride, rows } of planes) {
      for (let row = mcu * c.v; row < (mcu + 1) * c.v; row++) {
        const first = 64 * (row % c.blockRows) * c.blocksX
        const to = ((8 * row) % rows) * stride
        for (let x = 0; x < c.blocksX; x++) {
          transform(c.coefficients, first + 64 * x, c.table ?? NO_TABLE, data, to + 8 * x, stride, frame.precision)
        }
      }
    }
    if (!emit) return
    const end = mcu + 1 < frame.mcusY ? 8 * frame.vMax * mcu : frame.height
    while (this.emitted < end) emit(this.emitted++)
  }
}
