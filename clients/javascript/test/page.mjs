// Runs in a browser: decodes what it is given, and returns what came of it.

import * as zarr from 'zarrita'
import { register } from 'zarrita-tiff-codecs'

import { read, storeOf } from './chunk.mjs'

register(zarr.registry)

const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0))

globalThis.decode = async (vector) => {
  try {
    const found = await read(zarr, storeOf({ ...vector, encoded: bytes(vector.encoded) }))
    return { decoded: btoa(String.fromCharCode(...found)) }
  } catch (error) {
    return { error: `${error.message} ${error.cause?.stack ?? ''}` }
  }
}
