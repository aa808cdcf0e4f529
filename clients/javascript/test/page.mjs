// Runs in a browser: decodes what it is given, and returns what came of it.

import * as zarr from 'zarrita'
import { register } from 'zarrita-tiff-codecs'

import { read, storeOf } from './chunk.mjs'

register(zarr.registry)

const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0))

/** Streams in shared memory, as those of threads may be. */
function shared(stream) {
  const out = new Uint8Array(new SharedArrayBuffer(stream.length))
  out.set(stream)
  return out
}

globalThis.decode = async (vector) => {
  try {
    const store = storeOf({ ...vector, encoded: bytes(vector.encoded) })
    if (vector.isShared) for (const key of store.keys()) if (key.startsWith('/c')) store.set(key, shared(store.get(key)))
    const found = await read(zarr, store)
    return { decoded: btoa(String.fromCharCode(...found)) }
  } catch (error) {
    return { error: `${error.message} ${error.cause?.stack ?? ''}` }
  }
}
