// JPEG 2000, by a WebAssembly build of OpenJPEG.

import { check, sizeOfJPEG2000 } from '../headers.js'
import { splitComponents } from './components.js'

const SIGNED = 128

/** Decode an image of one or three components, which is what the decoder returns. */
function decodeStream(module, bytes, expected) {
  const size = sizeOfJPEG2000(bytes)
  check('JPEG 2000', size, size.samples, expected)
  const types = Array.from({ length: size.samples }, (_, n) => size.componentsAt + 3 * n)
  const [bits, signed] = [(bytes[types[0]] & 127) + 1, bytes[types[0]] & SIGNED]
  const decoder = new module.J2KDecoder()
  try {
    const encoded = decoder.getEncodedBuffer(bytes.length)
    encoded.set(bytes)
    // It returns zeros for negative bytes. Without a sign, the same samples are larger by half of their range.
    const shifted = signed && bits <= 8
    if (shifted) for (const at of types) encoded[at] &= ~SIGNED
    decoder.decode()
    const { width, height, componentCount } = decoder.getFrameInfo()
    check('JPEG 2000', { width, height }, componentCount, expected)
    const Type = bits > 8 ? (signed ? Int16Array : Uint16Array) : signed ? Int8Array : Uint8Array
    const data = new Type(decoder.getDecodedBuffer().slice().buffer)
    if (shifted) for (let i = 0; i < data.length; i++) data[i] -= 2 ** (bits - 1)
    return data
  } finally {
    decoder.delete()
  }
}

/** Decode a codestream, or a JP2 file with one. */
export function decodeJPEG2000(module, bytes, expected) {
  const { samples, componentsAt, stream, ...size } = sizeOfJPEG2000(bytes)
  check('JPEG 2000', size, samples, expected)
  const types = Array.from({ length: samples }, (_, n) => bytes[componentsAt + 3 * n])
  for (let at = componentsAt; at < componentsAt + 3 * samples; at += 3) {
    if (bytes[at + 1] !== 1 || bytes[at + 2] !== 1) throw new RangeError('JPEG 2000: subsampled components')
  }
  if (types.some((type) => type !== types[0])) throw new RangeError('JPEG 2000: components of several types')
  const bits = (types[0] & 127) + 1
  if (bits > 16) throw new RangeError(`JPEG 2000: samples of ${bits} bits`)
  if (samples === 1 || samples === 3) return { data: decodeStream(module, bytes, expected) }
  let data
  for (const { components, stream: part } of splitComponents(stream)) {
    const found = decodeStream(module, part, (expected / samples) * components.length)
    data ??= new found.constructor(expected)
    for (let from = 0, to = 0; from < found.length; to += samples) {
      for (const component of components) data[to + component] = found[from++]
    }
  }
  return { data }
}
