// zlib streams (RFC 1950), by the decoder of the JavaScript engine.

/** Browsers make no Blob of shared memory. */
const unshared = (bytes) => (bytes.buffer instanceof ArrayBuffer ? bytes : bytes.slice())

function adler32(bytes) {
  let [a, b] = [1, 0]
  for (let at = 0; at < bytes.length; ) {
    // As many as 32 bits hold.
    for (const end = Math.min(at + 5552, bytes.length); at < end; at++) {
      a += bytes[at]
      b += a
    }
    a %= 65521
    b %= 65521
  }
  return ((b << 16) | a) >>> 0
}

/**
 * Whether the checksum of what was decoded is in the input: then it was all of the stream.
 *
 * Browsers fail at bytes after a stream, which TIFFs may have, and Python ignores.
 */
async function isWhole(input, decoded) {
  const view = new DataView(await input.arrayBuffer())
  const sum = adler32(decoded)
  for (let at = view.byteLength - 4; at >= 2; at--) if (view.getUint32(at) === sum) return true
  return false
}

/** Decode no more than `limit` bytes; a stream that goes on is an error. */
export async function inflate(parts, limit, name = 'Deflate') {
  const input = new Blob(parts.map(unshared))
  const stream = input.stream().pipeThrough(new DecompressionStream('deflate'))
  const reader = stream.getReader()
  const out = new Uint8Array(limit)
  let size = 0
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return out.subarray(0, size)
      if (size + value.length > limit) {
        throw new RangeError(`${name}: more than the ${limit} bytes of the chunk`)
      }
      out.set(value, size)
      size += value.length
    }
  } catch (cause) {
    await reader.cancel().catch(() => {})
    const decoded = out.subarray(0, size)
    if (!(cause instanceof RangeError) && (await isWhole(input, decoded))) return decoded
    throw cause instanceof RangeError ? cause : new Error(`${name}: damaged stream`, { cause })
  }
}
