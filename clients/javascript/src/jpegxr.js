// JPEG XR: files of ITU-T T.832 Annex A, and their plane of alpha, which the decoder returns as zeros.

import { check, text, viewOf } from './headers.js'

const PIXEL_FORMAT = 0xbc01
const [IMAGE_OFFSET, IMAGE_BYTE_COUNT, ALPHA_OFFSET, ALPHA_BYTE_COUNT] = [0xbcc0, 0xbcc1, 0xbcc2, 0xbcc3]

/** Pixel formats of one channel (section A.7.18), by depth: they differ in the last byte. */
const GREY = [0x24, 0xc3, 0xdd, 0x6f, 0x03, 0x4e, 0xfe, 0x4b, 0xb1, 0x85, 0x3d, 0x77, 0x76, 0x8d, 0xc9]
const GREY_OF = { 8: 0x08, 16: 0x0b, '16Float': 0x3e, '32Float': 0x11 }

/** Where the value of each entry of the directory is, by tag. */
function entriesOf(bytes) {
  const view = viewOf(bytes)
  if (bytes.length < 8 || view.getUint16(0, true) !== 0x4949 || bytes[2] !== 0xbc) {
    throw new Error('JPEG XR: no JPEG XR stream')
  }
  const directory = view.getUint32(4, true)
  const entries = new Map()
  for (let i = 0; i < view.getUint16(directory, true); i++) {
    const entry = directory + 2 + 12 * i
    entries.set(view.getUint16(entry, true), entry + 8)
  }
  return entries
}

/** Size of the codestream that begins where an entry tells (section 8.3). */
function sizeAt(bytes, entry) {
  const view = viewOf(bytes)
  const at = entry === undefined ? -1 : view.getUint32(entry, true)
  if (at < 0 || text(bytes, at, 7) !== 'WMPHOTO') throw new Error('JPEG XR: no codestream')
  const short = (bytes[at + 10] & 0x80) !== 0
  const [width, height] = short
    ? [view.getUint16(at + 12), view.getUint16(at + 14)]
    : [view.getUint32(at + 12), view.getUint32(at + 16)]
  return { width: width + 1, height: height + 1 }
}

/** The same file, with its plane of alpha as the only image. */
function alphaOf(bytes, bitDepth) {
  const entries = entriesOf(bytes)
  const grey = GREY_OF[bitDepth]
  if (!entries.has(ALPHA_OFFSET) || !grey) throw new RangeError(`JPEG XR: alpha of ${bitDepth} bits is not supported`)
  const out = bytes.slice()
  const view = viewOf(out)
  const pointTo = (from, to) => view.setUint32(entries.get(to), view.getUint32(entries.get(from), true), true)
  pointTo(ALPHA_OFFSET, IMAGE_OFFSET)
  pointTo(ALPHA_BYTE_COUNT, IMAGE_BYTE_COUNT)
  view.setUint32(entries.get(ALPHA_BYTE_COUNT), 0, true)
  out.set([...GREY, grey], view.getUint32(entries.get(PIXEL_FORMAT), true))
  return out
}

const TYPES = { 8: Uint8Array, 16: Uint16Array, '16Float': globalThis.Float16Array, '32Float': Float32Array }

/** Decode a file by the module `jpegxr`. */
export function decodeJPEGXR(module, bytes, expected) {
  const entries = entriesOf(bytes)
  const size = sizeAt(bytes, entries.get(IMAGE_OFFSET))
  const samples = expected / (size.width * size.height)
  if (![1, 2, 3, 4].includes(samples)) check('JPEG XR', size, 1, expected)
  const { bytes: out, width, height, pixelInfo } = module.decode(bytes)
  const { channels, bitDepth, bgr, hasAlpha } = pixelInfo
  check('JPEG XR', { width, height }, channels, expected)
  const Type = TYPES[bitDepth]
  if (!Type) throw new RangeError(`JPEG XR: samples of ${bitDepth} bits are not supported here`)
  const data = new Type(out.buffer, out.byteOffset, expected)
  if (bgr) {
    for (let i = 0; i < data.length; i += channels) [data[i], data[i + 2]] = [data[i + 2], data[i]]
  }
  if (hasAlpha) {
    const file = alphaOf(bytes, bitDepth)
    check('JPEG XR', sizeAt(file, entries.get(IMAGE_OFFSET)), channels, expected)
    const { bytes: plane } = module.decode(file)
    const alpha = new Type(plane.buffer, plane.byteOffset, width * height)
    for (let pixel = 0; pixel < alpha.length; pixel++) data[(pixel + 1) * channels - 1] = alpha[pixel]
  }
  return { data }
}
