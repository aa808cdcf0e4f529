// Codecs of zarrita.js itself that have no bound: `zstd`, and `bytes`, which passes on what does not fill its chunk.

import { decodedBytes, filled, plain, product, sampleBytes } from './chain.js'

const MAGIC = 0xfd2fb528
const BLOCK = 128 * 1024
/** What a stream may hold, by its headers, beyond its chunk: blocks say how much they hold at most. */
const SLACK = 32 * 1024 * 1024
/** Bytes of the numbers of 64 bits. */
const LARGEST_SAMPLE = 8

/** Size of a window whose descriptor is a byte (RFC 8878, section 3.1.1.1.2). */
const windowSize = (byte) => 2 ** (10 + (byte >> 3)) * (1 + (byte & 7) / 8)

/**
 * Refuse Zstandard streams (RFC 8878) that may hold more than a chunk; nothing is decoded.
 *
 * A window can be far larger than what is in it, and decoders reserve it: it is returned as small as the content
 * allows.
 */
export function boundedZstd(bytes, size) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const limit = size + SLACK
  let out = bytes
  let total = 0
  let at = 0
  const fail = (what) => { throw new RangeError(`zstd: ${what}`) }
  while (at < bytes.length) {
    if (bytes.length - at < 8) fail('damaged stream')
    const magic = view.getUint32(at, true)
    if (magic >>> 4 === 0x184d2a5) {
      at += 8 + view.getUint32(at + 4, true)
      continue
    }
    // What follows the first frame is not decoded by all decoders; zarrita.js refuses it itself.
    if (magic !== MAGIC) break
    const header = bytes[at + 4]
    const [flag, single] = [header >> 6, (header >> 5) & 1]
    at += 5
    const windowAt = single ? -1 : at++
    at += [0, 1, 2, 4][header & 3]
    const contentBytes = [single, 2, 4, 8][flag]
    if (at + contentBytes > bytes.length) fail('damaged stream')
    let content
    if (contentBytes === 1) content = bytes[at]
    if (contentBytes === 2) content = view.getUint16(at, true) + 256
    if (contentBytes === 4) content = view.getUint32(at, true)
    if (contentBytes === 8) content = Number(view.getBigUint64(at, true))
    at += contentBytes
    if (content > size) fail(`${content} bytes for a chunk of ${size}`)
    const window = single ? content : windowSize(bytes[windowAt])
    let most = 0
    for (let last = 0; !last;) {
      if (at + 3 > bytes.length) fail('damaged stream')
      const block = bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16)
      const [kind, length] = [(block >> 1) & 3, block >> 3]
      last = block & 1
      // Stored, one byte repeated, compressed.
      most += kind === 2 ? Math.min(window, BLOCK) : length
      at += 3 + (kind === 1 ? 1 : length)
      if (total + most > limit) fail(`blocks of ${total + most} bytes for a chunk of ${size}`)
    }
    if (header & 4) at += 4
    total += content ?? most
    const needed = Math.max(BLOCK, Math.min(most, limit))
    if (!single && window > needed) {
      const exponent = Math.ceil(Math.log2(needed)) - 10
      if (out === bytes) out = bytes.slice()
      out[windowAt] = Math.min(bytes[windowAt], exponent << 3)
    }
  }
  return out
}

const GUARDS = {
  zstd: (inner, meta) => async (bytes) => {
    const found = decodedBytes(meta, 'zstd')
    const decoded = await inner.decode(boundedZstd(plain(bytes), found.size))
    if (decoded.length > found.size) throw new RangeError(`zstd: ${decoded.length} bytes for a chunk of ${found.size}`)
    return filled(decoded, found, 'zstd')
  },
  bytes: (inner, meta) => {
    const size = product(meta.shape) * sampleBytes(meta.dataType)
    const { name, configuration } = meta.codecs.at(-1)
    const isSwapped = name === 'bytes' && configuration?.endian === 'big'
    return (given) => {
      const bytes = plain(given)
      if (bytes.length !== size) throw new RangeError(`bytes: ${bytes.length} bytes for a chunk of ${size}`)
      // zarrita.js before 0.7 swaps the bytes that the store returned, and may have kept; before 0.7.5 it fails where
      // they do not begin at a multiple of the size of a sample.
      return inner.decode(isSwapped || bytes.byteOffset % LARGEST_SAMPLE ? bytes.slice() : bytes)
    }
  },
}

/** Bound the codecs of a registry that have none. */
export function bound(registry, normalised) {
  for (const [name, guard] of Object.entries(GUARDS)) {
    const load = registry.get?.(name)
    if (!load) continue
    registry.set(name, async () => {
      const codec = await load()
      const fromConfig = (configuration, meta) => {
        const inner = codec.fromConfig(configuration, meta)
        return {
          kind: inner.kind ?? codec.kind,
          encode: (input) => inner.encode(input),
          ...(inner.computeEncodedSize && { computeEncodedSize: (size) => inner.computeEncodedSize(size) }),
          decode: guard(inner, normalised(meta)),
        }
      }
      return { kind: codec.kind, fromConfig }
    })
  }
}

/** Zstandard for streams within other codecs, with what `bound` put into the registry. */
export const zstdOf = (registry) => async (bytes, limit) => {
  const codecs = [{ name: 'imagecodecs_lerc' }, { name: 'zstd', configuration: { level: 0, checksum: false } }]
  const { fromConfig } = await registry.get('zstd')()
  return fromConfig(codecs[1].configuration, { shape: [limit], dataType: 'uint8', codecs }).decode(bytes)
}
