// Predictors and samples of unusual widths.

import { chunk, packedBytes, product, storedShape, strides, typedArray } from './chain.js'

// Sums are those of the unsigned integers that have a sample's bits.
const BITS = { Float16Array: Uint16Array, Float32Array: Uint32Array, Float64Array: BigUint64Array }

function distance(dist) {
  if (!Number.isInteger(dist) || dist < 1) throw new RangeError(`dist is ${dist}, not 1 or more`)
  return dist
}

/**
 * Undo TIFF predictor 2 (TIFF 6.0 section 14): differences of neighbours along an axis.
 *
 * The chunk may be a transposed view, so its own strides are followed. Where a transpose comes first in the chain,
 * the axis is one of its result; zarrita.js passes the shape before it.
 */
export function delta(given, { axis = -1, dist = 1 }, meta) {
  const { data } = given
  const place = meta.codecs.findIndex(({ name }) => name === 'imagecodecs_delta')
  const [before, after] = [meta.codecs.slice(0, place), meta.codecs.slice(place)].map((codecs) =>
    codecs.filter(({ name }) => name === 'transpose'))
  if (before.length && after.length) throw new RangeError('predictor 2: transposes before and after it')
  const shape = before.length ? storedShape(meta) : given.shape
  const stride = before.length ? strides(shape) : given.stride
  const at = axis < 0 ? axis + shape.length : axis
  const out = data.slice()
  const Type = BITS[data.constructor.name]
  const sums = Type ? new Type(out.buffer) : out
  const step = stride[at]
  if (dist !== 1) throw new RangeError(`predictor 2: dist ${dist} is not 1`)
  const others = shape.map((n, i) => (i === at ? 1 : n))
  const index = shape.map(() => 0)
  let start = 0
  for (let n = product(others); n > 0; n--) {
    for (let i = 1, k = start + step; i < shape[at]; i++, k += step) sums[k] += sums[k - step]
    for (let i = shape.length - 1; i >= 0; i--) {
      start += stride[i]
      if (++index[i] < others[i]) break
      start -= stride[i] * others[i]
      index[i] = 0
    }
  }
  return { data: out, shape: given.shape, stride: given.stride }
}

/**
 * Undo TIFF predictor 3 (TIFF Technical Note 3): bytes of a row, the most significant of all
 * samples first, and differences of bytes.
 */
export function floatpred(bytes, { axis = -1, dist = 1 }, meta) {
  const shape = storedShape(meta)
  const at = axis < 0 ? axis + shape.length : axis
  const row = shape[at] * strides(shape)[at]
  const back = strides(shape)[at] * distance(dist)
  const out = new (typedArray(meta.dataType))(product(shape))
  const width = out.BYTES_PER_ELEMENT
  if (bytes.length !== out.byteLength) {
    throw new RangeError(`predictor 3: ${bytes.length} bytes for a chunk of ${out.byteLength}`)
  }
  const sums = bytes.slice()
  const target = new Uint8Array(out.buffer)
  for (let start = 0; start < sums.length; start += row * width) {
    for (let i = start + back; i < start + row * width; i++) sums[i] += sums[i - back]
    for (let byte = 0; byte < width; byte++) {
      // Typed arrays are little-endian on every machine that runs a browser.
      let to = start + width - 1 - byte
      for (let i = start + byte * row, end = i + row; i < end; i++, to += width) target[to] = sums[i]
    }
  }
  return chunk(out, meta)
}

/** Unsigned samples of 1 to 32 bits, the highest bit first; rows begin with a byte. */
export function packints(bytes, { bitspersample: width, runlen, bitorder }, meta) {
  if (bitorder === '<') throw new RangeError('packed samples whose lowest bit comes first')
  if (!(width >= 1 && width <= 32)) throw new RangeError(`packed samples of ${width} bits`)
  const out = new (typedArray(meta.dataType))(product(meta.shape))
  const run = runlen || out.length
  const size = packedBytes(out.length, width, run)
  // Python has all samples that bytes are there for, and more do not fit; less than a row of them is ignored.
  const most = width === 16 || width === 32 ? size : runlen ? size + packedBytes(run, width, run) - 1 : size
  if (bytes.length < size || bytes.length > most) {
    throw new RangeError(`packed samples: ${bytes.length} bytes for ${out.length} of ${width} bits`)
  }
  if (width === 16 || width === 32) {
    // Whole words are not packed: they are little-endian, as imagecodecs takes them.
    if (8 * out.BYTES_PER_ELEMENT !== width) throw new TypeError(`packed samples of ${width} bits for ${meta.dataType}`)
    new Uint8Array(out.buffer).set(bytes.subarray(0, out.byteLength))
    return chunk(out, meta)
  }
  const rowBytes = Math.ceil((run * width) / 8)
  for (let row = 0, i = 0; i < out.length; row++) {
    let [at, buffer, count] = [row * rowBytes, 0, 0]
    for (const end = Math.min(i + run, out.length); i < end; i++) {
      let [need, value] = [width, 0]
      while (need > 0) {
        if (count === 0) [buffer, count] = [bytes[at++], 8]
        const take = Math.min(need, count)
        count -= take
        value = value * (1 << take) + ((buffer >> count) & ((1 << take) - 1))
        need -= take
      }
      out[i] = value
    }
  }
  return chunk(out, meta)
}

/** Floats of 24 bits (TIFF Technical Note 3): a sign, 7 bits of exponent, 16 of mantissa. */
export function float24(bytes, { byteorder = '<' }, meta) {
  const samples = product(meta.shape)
  if (bytes.length !== 3 * samples) {
    throw new RangeError(`24-bit floats: ${bytes.length} bytes for ${samples} samples`)
  }
  const out = new Float32Array(samples)
  const bits = new Uint32Array(out.buffer)
  const [low, high] = byteorder === '>' ? [2, 0] : [0, 2]
  for (let i = 0; i < samples; i++) {
    const top = bytes[3 * i + high]
    let mantissa = (bytes[3 * i + 1] << 8) | bytes[3 * i + low]
    let exponent = top & 127
    const sign = (top & 128) << 24
    if (exponent === 127) bits[i] = sign | (mantissa ? 0x7fc00000 : 0x7f800000)
    else if (exponent === 0 && mantissa === 0) bits[i] = sign
    else {
      if (exponent === 0) {
        // Subnormal in 24 bits, normal in 32.
        for (exponent = 1; !(mantissa & 0x10000); exponent--) mantissa <<= 1
        mantissa &= 0xffff
      }
      bits[i] = sign | ((exponent + 64) << 23) | (mantissa << 7)
    }
  }
  return chunk(out, meta)
}

const REVERSED = Uint8Array.from({ length: 256 }, (_, byte) => {
  let out = 0
  for (let i = 0; i < 8; i++) out |= ((byte >> i) & 1) << (7 - i)
  return out
})

/** FillOrder 2 (TIFF 6.0 section 8): the bits of every byte in reverse. */
export function bitorder({ data, shape, stride }) {
  const out = data.slice()
  const bytes = new Uint8Array(out.buffer, out.byteOffset, out.byteLength)
  for (let i = 0; i < bytes.length; i++) bytes[i] = REVERSED[bytes[i]]
  return { data: out, shape, stride }
}
