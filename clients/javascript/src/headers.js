// Sizes in the headers of image streams, read before a decoder allocates anything by them.

export const text = (bytes, at, length) => String.fromCharCode(...bytes.subarray(at, at + length))
export const viewOf = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** Refuse an image whose samples are not those of the chunk. */
export function check(name, { width, height }, samples, expected) {
  if (width * height * samples !== expected) {
    throw new RangeError(`${name}: ${height} × ${width} × ${samples} samples for a chunk of ${expected}`)
  }
}

/** Contents of boxes of ISO media files with one of some types. */
function* boxes(bytes, types) {
  const view = viewOf(bytes)
  for (let at = 0; at + 8 <= bytes.length; ) {
    let [size, head] = [view.getUint32(at), 8]
    if (size === 1) [size, head] = [Number(view.getBigUint64(at + 8)), 16]
    if (size === 0) size = bytes.length - at
    if (size < head) return
    const type = text(bytes, at + 4, 4)
    if (types.includes(type)) yield { type, body: bytes.subarray(at + head, at + size) }
    at += size
  }
}

/** Signature box of a JP2 file (ITU-T T.800 section I.5.1). */
const JP2 = [0, 0, 0, 12, 0x6a, 0x50, 0x20, 0x20, 0x0d, 0x0a, 0x87, 0x0a]

/**
 * SIZ of a JPEG 2000 codestream (ITU-T T.800 section A.5.1), bare or in a JP2 file.
 *
 * `stream`: the codestream. `componentsAt`: where its first component is in `bytes`, of three bytes: sign and depth, and
 * two factors.
 */
export function sizeOfJPEG2000(bytes) {
  const bare = bytes[0] === 0xff && bytes[1] === 0x4f
  const isFile = JP2.every((byte, n) => bytes[n] === byte)
  const stream = bare ? bytes : isFile ? boxes(bytes, ['jp2c']).next().value?.body : undefined
  if (!stream || stream.length < 42 || stream[2] !== 0xff || stream[3] !== 0x51) {
    throw new Error('JPEG 2000: no codestream')
  }
  const view = viewOf(stream)
  const [x1, y1, x0, y0] = [8, 12, 16, 20].map((at) => view.getUint32(at))
  const componentsAt = stream.byteOffset - bytes.byteOffset + 42
  return { width: x1 - x0, height: y1 - y0, samples: view.getUint16(40), componentsAt, stream }
}

/** Size of a WebP image (RFC 9649). */
export function sizeOfWebP(bytes) {
  if (text(bytes, 0, 4) !== 'RIFF' || text(bytes, 8, 4) !== 'WEBP' || bytes.length < 30) {
    throw new Error('WebP: no WebP stream')
  }
  const view = viewOf(bytes)
  switch (text(bytes, 12, 4)) {
    case 'VP8 ':
      return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff }
    case 'VP8L': {
      const bits = view.getUint32(21, true)
      return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 }
    }
    case 'VP8X':
      // An animation has frames of its own.
      if (bytes[20] & 2) throw new Error('WebP: an animation')
      return {
        width: (view.getUint32(24, true) & 0xffffff) + 1,
        height: (view.getUint32(26, true) >>> 8) + 1,
      }
    default:
      throw new Error('WebP: unknown chunk')
  }
}

class LowBitsFirst {
  constructor(bytes) {
    this.bytes = bytes
    this.at = 0
  }

  u(n) {
    let value = 0
    for (let i = 0; i < n; i++, this.at++) {
      value += ((this.bytes[this.at >> 3] >> (this.at & 7)) & 1) * 2 ** i
    }
    return value
  }

  /** U32 of ISO/IEC 18181-1 section 9.2: one of four distributions. */
  u32(...distributions) {
    const [base, width] = distributions[this.u(2)]
    return base + this.u(width)
  }
}

// Width over height, by the field `ratio`.
const RATIOS = [null, [1, 1], [12, 10], [4, 3], [3, 2], [16, 9], [5, 4], [2, 1]]

function sizeHeader(bits) {
  const small = bits.u(1)
  const side = () => (small ? 8 * (bits.u(5) + 1) : 1 + bits.u32([0, 9], [0, 13], [0, 18], [0, 30]))
  const height = side()
  const ratio = RATIOS[bits.u(3)]
  return { height, width: ratio ? Math.floor((height * ratio[0]) / ratio[1]) : side() }
}

/** Size and depth of a JPEG XL image, and whether its samples may be in XYB (ISO/IEC 18181-1 sections A.3 and A.6). */
export function sizeOfJPEGXL(bytes) {
  let stream = bytes
  if (!(bytes[0] === 0xff && bytes[1] === 0x0a)) {
    const { type, body } = boxes(bytes, ['jxlc', 'jxlp']).next().value ?? {}
    // A part of a codestream begins with its number.
    stream = type === 'jxlp' ? body.subarray(4) : body
  }
  if (!stream || stream[0] !== 0xff || stream[1] !== 0x0a) throw new Error('JPEG XL: no codestream')
  const bits = new LowBitsFirst(stream.subarray(2))
  const size = sizeHeader(bits)
  if (bits.u(1)) return { ...size, depth: 8, float: false, xyb: true }
  if (bits.u(1)) {
    const orientation = bits.u(3)
    if (bits.u(1)) sizeHeader(bits)
    if (orientation !== 0 || bits.u(1) || bits.u(1)) {
      throw new Error('JPEG XL: an image with an orientation, a preview or an animation')
    }
  }
  const { float, depth } = bitDepth(bits)
  bits.u(1)
  const extra = bits.u32([0, 0], [1, 0], [2, 4], [1, 12])
  for (let n = 0; n < extra; n++) {
    if (!skippedExtra(bits)) return { ...size, depth, float, xyb: true }
  }
  return { ...size, depth, float, xyb: bits.u(1) === 1 }
}

function bitDepth(bits) {
  if (bits.u(1) === 0) return { float: false, depth: bits.u32([8, 0], [10, 0], [12, 0], [1, 6]) }
  const depth = bits.u32([32, 0], [16, 0], [24, 0], [1, 6])
  bits.u(4)
  return { float: true, depth }
}

/** Skip what describes an extra channel (section A.9); false if that is not alpha or depth, whose fields end here. */
function skippedExtra(bits) {
  if (bits.u(1)) return true
  const kind = bits.u32([0, 0], [1, 0], [2, 4], [18, 6])
  bitDepth(bits)
  bits.u32([0, 0], [3, 0], [4, 0], [1, 3])
  const name = bits.u32([0, 0], [0, 4], [16, 5], [48, 10])
  for (let n = 0; n < name; n++) bits.u(8)
  if (kind === 0) bits.u(1)
  return kind < 2
}

/**
 * Size of the first band of a LERC blob, version 2, and its bytes; `undefined` of version 1, which has one value for
 * each pixel.
 */
export function sizeOfLERC(bytes) {
  if (text(bytes, 0, 6) !== 'Lerc2 ' || bytes.length < 38) return undefined
  const view = viewOf(bytes)
  const version = view.getUint32(6, true)
  // Behind a checksum, from version 3 on.
  const at = version < 3 ? 10 : 14
  const samples = version < 4 ? 1 : view.getUint32(at + 8, true)
  const blobBytes = view.getUint32(at + (version < 4 ? 16 : 20), true)
  return { height: view.getUint32(at, true), width: view.getUint32(at + 4, true), samples, blobBytes }
}
