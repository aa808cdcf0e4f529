// What a codec has to know of the chunk and of the chain it is in. zarrita.js tells every codec the
// same: data type, shape of the chunk before any codec, and all codecs of the chain.

const TYPES = {
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  float16: globalThis.Float16Array,
  float32: Float32Array,
  float64: Float64Array,
}

/** Typed array of a Zarr data type. */
export function typedArray(dataType) {
  const found = TYPES[dataType]
  if (found) return found
  if (dataType === 'float16') {
    throw new TypeError('data type float16 needs a JavaScript engine with Float16Array')
  }
  throw new TypeError(`data type ${dataType} has no typed array in JavaScript`)
}

/** Bytes of a sample; `undefined` where they depend on its value, as for strings. */
export const sampleBytes = (dataType) => (dataType === 'string' ? undefined : dataType === 'bool' ? 1 : typedArray(dataType).BYTES_PER_ELEMENT)

/** Most bytes of a chunk of strings. */
const MOST_TEXT = 2 ** 26

/** The same bytes as an array whose `slice` copies: that of a `Buffer`, which stores in Node return, does not. */
export const plain = (bytes) =>
  bytes.constructor === Uint8Array ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)

export const base64 = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0))

export const product = (numbers) => numbers.reduce((a, b) => a * b, 1)

/** Strides of C order, in samples. */
export function strides(shape) {
  const out = new Array(shape.length)
  for (let i = shape.length - 1, n = 1; i >= 0; n *= shape[i--]) out[i] = n
  return out
}

/** The chunk that a codec returns; a transpose before it in the chain sets strides of its own. */
export const chunk = (data, meta) => ({ data, shape: meta.shape, stride: strides(meta.shape) })

/** Shape of the chunk after the transpose codecs of its chain. */
export function storedShape(meta) {
  let shape = meta.shape
  for (const { name, configuration } of meta.codecs) {
    if (name !== 'transpose') continue
    const before = shape
    shape = configuration.order.map((axis) => before[axis])
  }
  return shape
}

/** Bytes of samples of `width` bits, packed in rows of `run` samples that begin with a byte. */
export function packedBytes(samples, width, run) {
  const whole = Math.floor(samples / run)
  return whole * Math.ceil((run * width) / 8) + Math.ceil(((samples % run) * width) / 8)
}

/**
 * Bytes that a codec from bytes to bytes decodes to, by its name.
 *
 * `exact` is false where another compression comes before it in the chain, such as LERC in Deflate:
 * then `size` is a bound.
 */
export function decodedBytes(meta, name) {
  const samples = product(meta.shape)
  const before = meta.codecs[meta.codecs.findIndex((codec) => codec.name === name) - 1]
  const { bitspersample, runlen } = before?.configuration ?? {}
  const width = sampleBytes(meta.dataType)
  if (width === undefined) return { size: MOST_TEXT, exact: false }
  switch (before?.name) {
    case 'bytes':
    case 'imagecodecs_floatpred':
      return { size: samples * width, exact: true }
    case 'imagecodecs_packints':
      return { size: packedBytes(samples, bitspersample, runlen || samples), exact: true }
    case 'imagecodecs_float24':
      return { size: 3 * samples, exact: true }
    default:
      // A stream that is larger than twice its samples is none that an encoder writes.
      return { size: 2 * samples * width + 65536, exact: false }
  }
}

/** Refuse bytes that do not fill the chunk, or go on after it, as Python does: zarrita.js would not notice. */
export function filled(bytes, { size, exact }, name) {
  if (exact && bytes.length !== size) {
    throw new RangeError(`${name}: ${bytes.length} bytes for a chunk of ${size}`)
  }
  return bytes
}
