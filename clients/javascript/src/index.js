// Codecs of TIFF for zarrita.js, by the names that imagecodecs-zarr and numcodecs register in Python.
// This module is small; a codec is loaded when a chunk needs it.

import { bound, zstdOf } from './bounds.js'
import { base64, chunk, decodedBytes, filled, plain, product, storedShape, typedArray } from './chain.js'
import { once } from './once.js'

/** Decode to bytes that fill the chunk, and no more. */
const toBytes = (name, decode) => ({
  kind: 'bytes_to_bytes',
  async decode(bytes, configuration, meta) {
    const found = decodedBytes(meta, name)
    // One more tells that a stream goes on.
    return filled(await decode(plain(bytes), found.size + 1, configuration), found, name)
  },
})

/** Undo a change of samples. */
const toArray = (decode) => ({ kind: 'array_to_array', decode })

/** Decode a stream that is a whole chunk. */
const toChunk = (decode) => ({
  kind: 'array_to_bytes',
  decode: (bytes, ...rest) => decode(plain(bytes), ...rest),
})

const image = (name, decode) =>
  toChunk(async (bytes, configuration, meta, decoders) => {
    const expected = product(meta.shape)
    const Type = typedArray(meta.dataType)
    const { data } = await decode(bytes, expected, configuration, decoders)
    return chunk(as(Type, data, name, expected), meta)
  })

/** Samples in the type of the array; only integers grow, and only where no value changes. */
function as(Type, data, name, expected) {
  if (data.length !== expected) throw new RangeError(`${name}: ${data.length} samples for a chunk of ${expected}`)
  if (data.constructor === Type) return data
  const isFloat = (T) => T.name.startsWith('Float')
  const [from, to] = [data.constructor, Type]
  if (isFloat(from) || isFloat(to) || from.BYTES_PER_ELEMENT >= to.BYTES_PER_ELEMENT || to.name.startsWith('Big')) {
    throw new TypeError(`${name}: ${from.name} samples for an array of ${to.name}`)
  }
  return to.from(data)
}

/** A JPEG stream of a header, one restart segment, and an EOI marker. */
function wholeStream(header, segment) {
  const stream = new Uint8Array(header.length + segment.length + 2)
  stream.set(header)
  stream.set(segment, header.length)
  stream.set([0xff, 0xd9], header.length + segment.length)
  return stream
}

const ccitt = (kind) =>
  toChunk(async (bytes, { t4options }, meta) => {
    const { decodeCCITT } = await import('./ccitt.js')
    const [height, width] = storedShape(meta).slice(-2)
    if (height * width !== product(meta.shape)) {
      throw new RangeError(`CCITT: an image of ${height} × ${width} for a chunk of ${meta.shape.join(' × ')}`)
    }
    if (meta.dataType !== 'uint8') throw new TypeError(`CCITT: pixels for an array of ${meta.dataType}`)
    return chunk(decodeCCITT(bytes, width, height, kind, t4options), meta)
  })

const samples = () => import('./samples.js')

const CODECS = {
  'numcodecs.zlib': toBytes('numcodecs.zlib', async (bytes, limit) =>
    (await import('./deflate.js')).inflate([bytes], limit)),
  'numcodecs.lzma': toBytes('numcodecs.lzma', async (bytes, limit, { format = 1 }) => {
    if (format !== 1) throw new RangeError(`LZMA: format ${format} is not .xz`)
    return (await import('./xz.js')).decodeXZ(bytes, limit)
  }),
  imagecodecs_lzw: toBytes('imagecodecs_lzw', async (bytes, limit) =>
    (await import('./lzw.js')).decodeLZW(bytes, limit)),
  imagecodecs_packbits: toBytes('imagecodecs_packbits', async (bytes, limit) =>
    (await import('./packbits.js')).decodePackBits(bytes, limit)),
  imagecodecs_delta: toArray(async (...input) => (await samples()).delta(...input)),
  imagecodecs_bitorder: toArray(async (data) => (await samples()).bitorder(data)),
  imagecodecs_floatpred: toChunk(async (...input) => (await samples()).floatpred(...input)),
  imagecodecs_packints: toChunk(async (...input) => (await samples()).packints(...input)),
  imagecodecs_float24: toChunk(async (...input) => (await samples()).float24(...input)),
  imagecodecs_ccittrle: ccitt('rle'),
  imagecodecs_ccittfax3: ccitt('fax3'),
  imagecodecs_ccittfax4: ccitt('fax4'),
  imagecodecs_eer: image('EER', async (bytes, expected, configuration) =>
    (await import('./eer.js')).decodeEER(bytes, expected, configuration)),
  imagecodecs_png: image('PNG', async (bytes, expected) =>
    (await import('./png.js')).decodePNG(bytes, expected)),
  imagecodecs_jpeg: image('JPEG', async (bytes, expected, configuration) => {
    const { tables, header, colorspace_jpeg: stored, colorspace_data: wanted } = configuration
    const { decodeJPEG } = await import('./jpeg/index.js')
    const stream = header ? wholeStream(base64(header), bytes) : bytes
    return decodeJPEG(stream, { tables: tables && base64(tables), stored, wanted, expected })
  }),
  imagecodecs_jpeg2k: image('JPEG 2000', async (bytes, expected, _, decoders) =>
    (await decoders()).jpeg2000(bytes, expected)),
  imagecodecs_jpegxl: image('JPEG XL', async (bytes, expected, _, decoders) =>
    (await decoders()).jpegXL(bytes, expected)),
  imagecodecs_jpegxr: image('JPEG XR', async (bytes, expected, _, decoders) =>
    (await decoders()).jpegXR(bytes, expected)),
  imagecodecs_webp: image('WebP', async (bytes, expected, { hasalpha }) =>
    (await import('./webp/index.js')).decodeWebP(bytes, expected, hasalpha)),
  imagecodecs_lerc: image('LERC', async (bytes, expected, _, decoders) =>
    (await decoders()).lerc(bytes, expected)),
  imagecodecs_tiff: image('TIFF', async (bytes, expected, { index = 0 }, decoders) =>
    (await import('./tiff/index.js')).decodeTIFF(bytes, expected, index, decoders)),
}

// zarrita.js before 0.7 says data_type.
const normalised = ({ shape, codecs, dataType, data_type }) => ({ shape, codecs, dataType: dataType ?? data_type })

/** Names of the codecs. */
export const names = Object.freeze(Object.keys(CODECS))

/**
 * Add the codecs to a registry of zarrita.js, and bound those of its own that have no bound.
 *
 * `wasm`: where WebAssembly modules are, by their names; beside this package unless given.
 */
export function register(registry, { wasm } = {}) {
  if (wasm !== undefined && typeof wasm !== 'function') {
    throw new TypeError('wasm is no function that returns the address of a file by its name')
  }
  const decoders = once(async () => ({ ...(await import('./wasm.js')).imageDecoders(wasm), zstd: zstdOf(registry) }))
  for (const [name, { kind, decode }] of Object.entries(CODECS)) {
    const fromConfig = (configuration, given) => {
      const meta = normalised(given)
      return {
        kind,
        encode() {
          throw new Error(`${name}: this package only decodes`)
        },
        decode: (input) => decode(input, configuration ?? {}, meta, decoders),
      }
    }
    registry.set(name, async () => ({ fromConfig }))
  }
  bound(registry, normalised)
}
