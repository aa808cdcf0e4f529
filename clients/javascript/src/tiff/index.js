// `imagecodecs_tiff`: a chunk that is a whole TIFF, whose image has no codec of its own. Samples are those that
// libtiff returns; what is not read here is refused by its name.

import { inflate } from '../deflate.js'
import { decodeLZW } from '../lzw.js'
import { decodePackBits } from '../packbits.js'
import { converter } from './colour.js'
import { readDirectory, segmentsOf } from './directory.js'
import { decodeOldJPEG } from './old-jpeg.js'
import { decodeNeXT, decodeThunderScan } from './scans.js'
import { decodeLogL } from './sgilog.js'

const [NONE, LZW, OLD_JPEG, DEFLATE, PACKBITS, OLD_DEFLATE, SGILOG, LERC] = [1, 5, 6, 8, 32773, 32946, 34676, 34887]
const [NEXT, THUNDERSCAN] = [32766, 32809]
const [YCBCR, LOGL] = [6, 32844]
/** Samples of a padded frame, beyond those of the image. */
const PADDING = 2 ** 22

const BYTES = {
  [NONE]: (data, limit) => data.subarray(0, limit),
  [LZW]: decodeLZW,
  [DEFLATE]: (data, limit) => inflate([data], limit),
  [OLD_DEFLATE]: (data, limit) => inflate([data], limit),
  [PACKBITS]: decodePackBits,
}

/** Compressions of one sample of a fixed number of bits. */
const SCANS = { [NEXT]: { bits: 2, decode: decodeNeXT }, [THUNDERSCAN]: { bits: 4, decode: decodeThunderScan } }

const refuse = (what) => {
  throw new Error(
    `imagecodecs_tiff: ${what} is not supported. Read the array in Python, or publish the image converted`,
  )
}

/** Decode the image of directory `index`, which has to have `expected` samples. */
export async function decodeTIFF(bytes, expected, index, decoders) {
  const { tags, little } = readDirectory(bytes, index)
  const [samples] = tags(277, [1])
  const [compression] = tags(259, [1])
  const [photometric] = tags(262, [0])
  const [width, height] = [tags(256, [0])[0], tags(257, [0])[0]]
  if (width * height * samples !== expected) {
    throw new RangeError(`TIFF: ${height} × ${width} × ${samples} samples for a chunk of ${expected}`)
  }
  if (tags(266, [1])[0] !== 1) refuse('FillOrder 2')
  if (tags(317, [1])[0] !== 1) refuse('a predictor')
  if (photometric === YCBCR && tags(274, [1])[0] > 1) refuse('YCbCr with an Orientation')
  const bits = tags(258, [1])
  const planes = samples > 1 && tags(284, [1])[0] !== 1 ? samples : 1
  if (compression === LERC) {
    const Type = lercType(tags(339, [1])[0], bits[0])
    const [, packing] = tags(50674, [0, 0])
    const bands = samples / planes
    const decode = (part) => maskedLERC(decoders, part, bands, packing, Type, little)
    return { data: await pasted(segmentsOf(tags, bytes, planes), bands, new Type(expected), decode) }
  }
  if (planes > 1) refuse('an image of planes')
  const image = segmentsOf(tags, bytes)
  if (compression === SGILOG && photometric === LOGL && samples === 1 && bits[0] === 16) {
    const decode = (part) => decodeLogL(part.data, part.height, part.width)
    return { data: await pasted(image, 1, new Int16Array(expected), decode) }
  }
  const scan = SCANS[compression]
  if (scan && samples === 1 && bits[0] === scan.bits && !image.tiled) {
    const decode = (part) => scan.decode(part.data, part.height, part.width)
    return { data: await pasted(image, 1, new Uint8Array(expected), decode) }
  }
  if (bits.some((n) => n !== 8)) refuse(`compression ${compression} of ${bits[0]} bits`)
  if (compression === OLD_JPEG) {
    if (samples !== 1 && !(samples === 3 && photometric === YCBCR)) refuse(`old-style JPEG of ${samples} samples`)
    // libtiff does not restart between segments of these.
    if (!little && image.segments.length > 1) refuse('big-endian old-style JPEG of several segments')
    return { data: oldJPEG(tags, bytes, image, samples) }
  }
  if (photometric !== YCBCR || samples !== 3 || !BYTES[compression]) refuse(`compression ${compression}`)
  return { data: await subsampled(tags, image, BYTES[compression]) }
}

/** `out`, with the samples of all segments, which interleave the `bands` of a plane. */
async function pasted({ width, height, segments }, bands, out, decode) {
  for (const part of segments) {
    const row = part.width * bands
    if (row * part.height > out.length + PADDING) throw new RangeError('TIFF: a segment that is larger than its image')
    const data = await decode(part)
    const first = part.plane * width * height
    const [rows, columns] = [Math.min(part.height, height - part.y), Math.min(part.width, width - part.x)]
    for (let y = 0; y < rows; y++) {
      const place = first + (part.y + y) * width + part.x
      out.set(data.subarray(y * row, y * row + columns * bands), place * bands)
    }
  }
  return out
}

/** Samples of a segment: NaN where a mask has none; in big-endian files swapped after that, as by libtiff. */
async function maskedLERC(decoders, part, samples, packing, Type, little) {
  const expected = part.width * part.height * samples
  const { lerc, zstd } = await decoders()
  const unpack = [(blob) => blob, (blob, limit) => inflate([blob], limit), zstd][packing]
  if (!unpack) refuse(`LERC in compression ${packing}`)
  const blob = await unpack(part.data, expected * Type.BYTES_PER_ELEMENT + PADDING)
  const { data, masks } = await lerc(blob, expected)
  if (data.constructor !== Type) throw new TypeError(`TIFF: LERC of ${data.constructor.name}`)
  for (let band = 0; Type.name.startsWith('Float') && band < samples; band++) {
    // One for the values of a pixel, or one for each band.
    const mask = masks[masks.length > 1 ? band : 0]
    mask?.forEach((valid, pixel) => valid || (data[pixel * samples + band] = NaN))
  }
  return little ? data : swapped(data)
}

const TYPES_OF_LERC = {
  1: { 8: Uint8Array, 16: Uint16Array, 32: Uint32Array },
  2: { 8: Int8Array, 16: Int16Array, 32: Int32Array },
  3: { 32: Float32Array, 64: Float64Array },
}

const lercType = (format, bits) => TYPES_OF_LERC[format]?.[bits] ?? refuse(`LERC of ${bits} bits`)

/** Samples in the other byte order. */
function swapped(data) {
  const size = data.BYTES_PER_ELEMENT
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  for (let at = 0; at < bytes.length; at += size) bytes.subarray(at, at + size).reverse()
  return data
}

function oldJPEG(tags, bytes, image, samples) {
  const { width, height } = image
  const { frame, planes } = decodeOldJPEG(tags, bytes, image, width * height * samples + PADDING)
  if (planes.length !== samples || frame.width < width || frame.height < height) {
    throw new RangeError(`TIFF: a JPEG of ${frame.height} × ${frame.width} × ${planes.length}`)
  }
  const out = new Uint8Array(width * height * samples)
  const [light, blue, red] = planes.map(({ component, data, stride }) => {
    const [across, down] = [frame.hMax / component.h, frame.vMax / component.v]
    return (x, y) => data[Math.floor(y / down) * stride + Math.floor(x / across)]
  })
  const toRGB = samples === 3 ? converter(tags) : undefined
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += samples) {
      if (toRGB) toRGB(light(x, y), blue(x, y), red(x, y), out, at)
      else out[at] = light(x, y)
    }
  }
  return out
}

/** YCbCr in units of several luminances and one pair of chrominances (TIFF 6.0 section 21). */
async function subsampled(tags, image, decode) {
  const { width, height } = image
  const [across, down] = tags(530, [2, 2])
  // libtiff has no conversion for 1, 4 and 2, 4, and two that differ for 4, 4.
  if (![1, 2, 4].includes(across) || ![1, 2].includes(down)) refuse(`subsampling ${across}, ${down}`)
  const toRGB = converter(tags)
  const out = new Uint8Array(width * height * 3)
  const unit = across * down + 2
  for (const part of image.segments) {
    const units = Math.ceil(part.width / across)
    const size = units * Math.ceil(part.height / down) * unit
    if (size > 3 * width * height + PADDING) throw new RangeError('TIFF: a segment that is larger than its image')
    const data = await decode(part.data, size)
    if (data.length < size) throw new RangeError(`TIFF: ${data.length} of ${size} bytes of a segment`)
    const [rows, columns] = [Math.min(part.height, height - part.y), Math.min(part.width, width - part.x)]
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++) {
        const first = (Math.floor(y / down) * units + Math.floor(x / across)) * unit
        const light = data[first + (y % down) * across + (x % across)]
        const [blue, red] = [data[first + unit - 2], data[first + unit - 1]]
        toRGB(light, blue, red, out, 3 * ((part.y + y) * width + part.x + x))
      }
    }
  }
  return out
}
