// Image formats by WebAssembly builds of their reference decoders. Each is loaded when a chunk needs
// it first, and each stream's size is compared with the chunk's before it is decoded.

import { contained, located, readModule } from '#platform'
import { check, sizeOfJPEGXL, sizeOfLERC } from './headers.js'
import { decodeJPEG2000 } from './jpeg2000/index.js'
import { decodeJPEGXR } from './jpegxr.js'
import { decodeBlob } from './lerc.js'
import { once } from './once.js'
import { decodePNG } from './png.js'

// Literal, so that bundlers find the files.
const FILES = {
  'jxl.wasm': () => new URL('../wasm/jxl.wasm', import.meta.url),
  'lerc.wasm': () => new URL('../wasm/lerc.wasm', import.meta.url),
  'openjpeg.wasm': () => new URL('../wasm/openjpeg.wasm', import.meta.url),
}

/** Memory of an instance that is not kept. */
const LARGE = 64 * 1024 * 1024

/** Rows of JPEG XL that are rendered together: a multiple of all sides of its groups but the largest. */
const ROWS = 512

/** Bytes of a stream that are passed on together. */
const PIECE = 2 ** 20

/** Address of a file, relative to the page or worker. */
function addressOf(given, name) {
  const base = globalThis.location?.href
  if (!given || !URL.canParse(given, base)) throw new TypeError(`wasm('${name}') returned ${given}, which is no URL`)
  return new URL(given, base).href
}

/**
 * Decoders whose modules come from where `locate` says.
 *
 * Each takes bytes and the number of samples of the chunk, and returns
 * `{ data, width, height, samples }`.
 */
export function imageDecoders(locate = (name) => FILES[name]()) {
  const address = async (name) => addressOf(await locate(name), name)
  const openjpeg = async () => {
    const { default: factory } = await import('@cornerstonejs/codec-openjpeg/decodewasmjs')
    const wasmBinary = await readModule(await address('openjpeg.wasm'))
    // It logs a line for each image.
    return contained(() => factory({ print: () => {}, printErr: () => {}, wasmBinary }))
  }
  const jxl = once(async () => {
    const module = await import('jxl-oxide-wasm')
    await module.default({ module_or_path: await readModule(await address('jxl.wasm')) })
    return module
  })
  const jxr = async () => {
    const { default: factory } = await import('jpegxr')
    return contained(() => factory({ print: () => {}, printErr: () => {} }))
  }
  const lerc = once(async () => {
    const module = await import('lerc')
    // The library remembers a failure for ever, and reads the file itself: it is asked where the file is there.
    await located(await address('lerc.wasm'), (there) => module.load({ locateFile: () => there }))
    return module
  })
  return {
    jpeg2000: inFreshAfterFailure('JPEG 2000', openjpeg, decodeJPEG2000),
    jpegXL: async (bytes, expected) => decodeJPEGXL(await jxl(), bytes, expected),
    jpegXR: inFreshAfterFailure('JPEG XR', jxr, decodeJPEGXR),
    lerc: async (bytes, expected) => decodeBlob(bytes, expected) ?? decodeLERC(await lerc(), bytes, expected),
  }
}

/**
 * Decode in an instance of a module that is not used again after a failure: the stack and heap of one that threw
 * are damaged, and it returns other pixels for good streams. One that has grown large is dropped with its memory.
 */
function inFreshAfterFailure(name, load, decode) {
  let get = once(load)
  return async (bytes, ...rest) => {
    const module = await get()
    let failed = true
    try {
      const image = decode(module, bytes, ...rest)
      failed = false
      return image
    } catch (error) {
      // C++ throws numbers.
      throw error instanceof Error ? error : new Error(`${name}: the decoder failed (${error})`)
    } finally {
      if (failed || module.HEAPU8?.byteLength > LARGE) get = once(load)
    }
  }
}

async function decodeJPEGXL({ JxlImage }, bytes, expected) {
  const { depth, float, xyb, ...size } = sizeOfJPEGXL(bytes)
  if (float || (depth !== 8 && depth !== 16)) {
    // The decoder's only output is PNG, to whose depth it scales.
    throw new RangeError(`JPEG XL: ${float ? 'floats' : 'samples'} of ${depth} bits are not supported`)
  }
  if (expected % (size.width * size.height) || expected > 4 * size.width * size.height) {
    check('JPEG XL', size, 1, expected)
  }
  // The decoder returns other samples.
  if (size.height === 1 && xyb) throw new RangeError('JPEG XL: lossy images of one row are not supported')
  const image = new JxlImage()
  try {
    for (let at = 0; at < bytes.length; at += PIECE) image.feedBytes(bytes.subarray(at, at + PIECE))
    // An image that is not loaded would be rendered without what is missing.
    if (!image.tryInit() || !image.loaded) throw new Error('JPEG XL: the stream ends early')
    return await inBands(image, size, expected)
  } finally {
    try {
      image.free()
    } catch {
      // After an error inside, it is still borrowed.
    }
  }
}

/** Render some rows after others: the decoder has floats for all samples that it renders, and a PNG of them. */
async function inBands(image, { width, height }, expected) {
  let data
  for (let top = 0; top < height; top += ROWS) {
    const rows = Math.min(ROWS, height - top)
    const size = (expected / height) * rows
    if (height > ROWS) image.renderingRegion = { left: 0, top, width, height: rows }
    // This frees what is rendered.
    const band = await decodePNG(image.render().encodeToPng(), size)
    if (height <= ROWS) return band
    data ??= new band.data.constructor(expected)
    data.set(band.data, top * (expected / height))
  }
  return { data }
}

/** Pixels of each band, and its mask, which is `null` if all are valid. */
function bandsOfLERC(module, bytes) {
  const { pixels, mask, bandMasks, validPixelCount } = module.decode(bytes.slice().buffer, { returnInterleaved: true })
  if (pixels.length === 1 || validPixelCount > 0) return { pixels, masks: bandMasks ?? pixels.map(() => mask) }
  // The library decodes no band after one that has no valid pixel.
  const { blobBytes } = sizeOfLERC(bytes)
  const parts = [bytes.subarray(0, blobBytes), bytes.subarray(blobBytes)].map((part) => bandsOfLERC(module, part))
  return { pixels: parts.flatMap((part) => part.pixels), masks: parts.flatMap((part) => part.masks) }
}

function decodeLERC(module, bytes, expected) {
  // The library reserves memory for each value of a pixel before it tells their number.
  const claimed = sizeOfLERC(bytes)
  if (claimed && expected % (claimed.width * claimed.height * claimed.samples) !== 0) {
    check('LERC', claimed, claimed.samples, expected)
  }
  const input = bytes.slice().buffer
  const info = module.getBlobInfo(input)
  check('LERC', info, info.depthCount * info.bandCount, expected)
  const { width, height, depthCount } = info
  const { pixels, masks } = bandsOfLERC(module, bytes)
  if (pixels.length === 1) return { data: pixels[0], masks, width, height, samples: depthCount }
  if (depthCount > 1) throw new RangeError('LERC: several bands of several values are not supported')
  const samples = pixels.length
  const data = new pixels[0].constructor(samples * width * height)
  pixels.forEach((plane, s) => plane.forEach((value, i) => (data[i * samples + s] = value)))
  return { data, masks, width, height, samples }
}
