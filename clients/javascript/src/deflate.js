// zlib streams (RFC 1950), by the decoder of the JavaScript engine.

/** Decode no more than `limit` bytes; a stream that goes on is an error. */
export async function inflate(parts, limit, name = 'Deflate') {
  const stream = new Blob(parts).stream().pipeThrough(new DecompressionStream('deflate'))
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
    throw cause instanceof RangeError ? cause : new Error(`${name}: damaged stream`, { cause })
  }
}
