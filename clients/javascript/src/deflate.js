// zlib streams (RFC 1950), by the decoder of the JavaScript engine.

import { joined } from './bytes.js'
import { viewOf } from './headers.js'

/** Bytes that are passed on together: what waits to be decoded is no copy of the stream. */
const PIECE = 2 ** 16

/** Streams of browsers take no shared memory. */
const unshared = (bytes) => (bytes.buffer instanceof ArrayBuffer ? bytes : bytes.slice())

function* piecesOf(parts) {
  for (const part of parts) {
    for (let at = 0; at < part.length; at += PIECE) yield unshared(part.subarray(at, at + PIECE))
  }
}

/** Checksum of bytes that follow those of another. */
function adler32(bytes, sum) {
  let [a, b] = [sum & 0xffff, sum >>> 16]
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
function isWhole(parts, sum) {
  const view = viewOf(parts.length === 1 ? parts[0] : joined(parts))
  for (let at = view.byteLength - 4; at >= 2; at--) if (view.getUint32(at) === sum) return true
  return false
}

/** Decode, and `take` one piece after the other, of no more than `limit` bytes; a stream that goes on is an error. */
export async function inflatePieces(parts, limit, take, name) {
  const pieces = piecesOf(parts)
  const input = new ReadableStream({
    pull(controller) {
      const { done, value } = pieces.next()
      if (done) controller.close()
      else controller.enqueue(value)
    },
  })
  const reader = input.pipeThrough(new DecompressionStream('deflate')).getReader()
  let [size, sum] = [0, 1]
  for (;;) {
    let piece
    try {
      piece = await reader.read()
    } catch (cause) {
      if (isWhole(parts, sum)) return
      throw new Error(`${name}: damaged stream`, { cause })
    }
    if (piece.done) return
    try {
      size += piece.value.length
      if (size > limit) throw new RangeError(`${name}: more than the ${limit} bytes of the chunk`)
      sum = adler32(piece.value, sum)
      take(piece.value)
    } catch (error) {
      await reader.cancel().catch(() => {})
      throw error
    }
  }
}

/** Decode no more than `limit` bytes; a stream that goes on is an error. */
export async function inflate(parts, limit, name = 'Deflate') {
  const out = new Uint8Array(limit)
  let size = 0
  await inflatePieces(parts, limit, (piece) => {
    out.set(piece, size)
    size += piece.length
  }, name)
  return out.subarray(0, size)
}
