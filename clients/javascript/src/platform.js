// What differs between browsers and Node: this is the part for browsers and workers.

import { fetchModule } from './fetch.js'

/** Bytes of a WebAssembly module. */
export const readModule = fetchModule

/** Let a dependency load a module itself, once it is known that it is there. */
export async function located(url, load) {
  await readModule(url)
  return load(url)
}

/** Load a dependency that changes global state in Node only. */
export const contained = (load) => load()
