// Decoders for the codecs that zarrita.js does not know, from the npm package `geotiff` where it
// has them. Import this once, and arrays open as usual.
//
// The names and configurations are those of the Python package imagecodecs-zarr.

import { getDecoder } from 'geotiff'
import { registry } from 'zarrita'

const TYPES = {
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  float32: Float32Array,
  float64: Float64Array,
}

function typedArray(dataType) {
  const found = TYPES[dataType]
  if (!found) throw new Error(`no typed array for ${dataType}`)
  return found
}

function strides(shape) {
  return shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1))
}

// Shape of a chunk after the transpose codecs of a chain: zarrita tells every codec the shape
// before them.
function storedShape(meta) {
  let shape = meta.shape
  for (const { name, configuration } of meta.codecs) {
    if (name === 'transpose') {
      const before = shape
      shape = configuration.order.map((axis) => before[axis])
    }
  }
  return shape
}

function exactBuffer(bytes) {
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)
}

function register(name, kind, decode) {
  registry.set(name, async () => ({
    fromConfig: (configuration, meta) => ({
      kind,
      encode() {
        throw new Error(`${name} only decodes`)
      },
      decode: (input) => decode(input, configuration ?? {}, meta),
    }),
  }))
}

const chunk = (data, meta) => ({ data, shape: meta.shape, stride: strides(meta.shape) })

// --- compressions of bytes -------------------------------------------------------------------

function registerBytes(name, compression) {
  register(name, 'bytes_to_bytes', async (bytes) => {
    const decoder = await getDecoder(compression, { predictor: 1 })
    return new Uint8Array(await decoder.decodeBlock(exactBuffer(bytes)))
  })
}

registerBytes('imagecodecs_lzw', 5)
registerBytes('imagecodecs_packbits', 32773)

// --- predictors ------------------------------------------------------------------------------

// Calls `line(start, step, count)` for every run of samples along an axis.
function alongAxis(shape, axis, line) {
  const at = axis < 0 ? axis + shape.length : axis
  const step = strides(shape)[at]
  const size = shape.reduce((a, b) => a * b, 1)
  for (let block = 0; block < size; block += step * shape[at]) {
    for (let i = 0; i < step; i++) line(block + i, step, shape[at])
  }
}

// TIFF predictor 2. The chunk may be a transposed view, so its own strides are followed.
register('imagecodecs_delta', 'array_to_array', ({ data, shape, stride }, { axis = -1 }) => {
  const at = axis < 0 ? axis + shape.length : axis
  // Floats are differenced as the integers that have their bits.
  const bits = { Float32Array: Uint32Array, Float64Array: BigUint64Array }[data.constructor.name]
  const out = data.slice()
  const sums = bits ? new bits(out.buffer) : out
  const others = shape.map((size, i) => (i === at ? 1 : size))
  const count = others.reduce((a, b) => a * b, 1)
  for (let n = 0; n < count; n++) {
    let [rest, start] = [n, 0]
    for (let i = shape.length - 1; i >= 0; i--) {
      start += (rest % others[i]) * stride[i]
      rest = Math.floor(rest / others[i])
    }
    for (let i = 1; i < shape[at]; i++) {
      sums[start + i * stride[at]] += sums[start + (i - 1) * stride[at]]
    }
  }
  return { data: out, shape, stride }
})

// TIFF predictor 3: the bytes of a row, most significant first and differenced, one plane after
// the other.
register('imagecodecs_floatpred', 'array_to_bytes', (bytes, { axis = -1 }, meta) => {
  const shape = storedShape(meta)
  const at = axis < 0 ? axis + shape.length : axis
  const samples = strides(shape)[at]
  const row = shape[at] * samples
  const out = new (typedArray(meta.dataType))(shape.reduce((a, b) => a * b, 1))
  const width = out.BYTES_PER_ELEMENT
  const sums = Uint8Array.from(bytes)
  const view = new DataView(out.buffer)
  for (let start = 0; start < sums.length; start += row * width) {
    for (let i = samples; i < row * width; i++) sums[start + i] += sums[start + i - samples]
    for (let i = 0; i < row; i++) {
      for (let byte = 0; byte < width; byte++) {
        // Typed arrays are little-endian on every machine that runs a browser.
        view.setUint8(start + i * width + width - 1 - byte, sums[start + byte * row + i])
      }
    }
  }
  return chunk(out, meta)
})

// --- samples of odd widths -------------------------------------------------------------------

register('imagecodecs_packints', 'array_to_bytes', (bytes, { bitspersample, runlen }, meta) => {
  const out = new (typedArray(meta.dataType))(meta.shape.reduce((a, b) => a * b, 1))
  const rowBytes = Math.ceil((runlen * bitspersample) / 8)
  for (let i = 0; i < out.length; i++) {
    let bit = Math.floor(i / runlen) * rowBytes * 8 + (i % runlen) * bitspersample
    let value = 0
    for (const end = bit + bitspersample; bit < end; bit++) {
      value = value * 2 + ((bytes[bit >> 3] >> (7 - (bit & 7))) & 1)
    }
    out[i] = value
  }
  return chunk(out, meta)
})

// --- images ----------------------------------------------------------------------------------

const base64 = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0))

function toRGB(data) {
  const clamped = Uint8ClampedArray.from(data)
  for (let i = 0; i < data.length; i += 3) {
    const [y, cb, cr] = [data[i], data[i + 1] - 128, data[i + 2] - 128]
    clamped[i] = y + 1.402 * cr
    clamped[i + 1] = y - 0.344136 * cb - 0.714136 * cr
    clamped[i + 2] = y + 1.772 * cb
  }
  return new Uint8Array(clamped.buffer)
}

register('imagecodecs_jpeg', 'array_to_bytes', async (bytes, configuration, meta) => {
  if (meta.dataType !== 'uint8') throw new Error('JPEG of more than 8 bits')
  const { tables, colorspace_jpeg: stored, colorspace_data: delivered } = configuration
  const decoder = await getDecoder(7, { JPEGTables: tables && base64(tables), predictor: 1 })
  const data = new Uint8Array(await decoder.decodeBlock(exactBuffer(bytes)))
  return chunk(stored === 'YCbCr' && delivered === 'RGB' ? toRGB(data) : data, meta)
})

register('imagecodecs_lerc', 'array_to_bytes', async (bytes, _, meta) => {
  const parameters = { LercParameters: { 1: 0 }, planarConfiguration: 1, predictor: 1 }
  const decoder = await getDecoder(34887, parameters)
  const data = await decoder.decodeBlock(exactBuffer(bytes))
  return chunk(new (typedArray(meta.dataType))(data), meta)
})
