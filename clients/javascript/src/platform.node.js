// What differs between browsers and Node: this is the part for Node.

import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

/** Bytes of a WebAssembly module. */
export async function readModule(url) {
  const found = new URL(url)
  if (found.protocol === 'file:') return readFile(fileURLToPath(found))
  const response = await fetch(found)
  if (!response.ok) throw new Error(`${url}: HTTP status ${response.status}`)
  return new Uint8Array(await response.arrayBuffer())
}

const EVENTS = ['uncaughtException', 'unhandledRejection']

/**
 * Load a dependency that changes global state, and undo the change: Emscripten's older glue code
 * adds handlers to `process` that end it, and jSquash's a class that browsers have.
 */
export async function contained(load) {
  const before = EVENTS.map((event) => process.listeners(event))
  const hadImageData = 'ImageData' in globalThis
  try {
    return await load()
  } finally {
    if (!hadImageData) delete globalThis.ImageData
    EVENTS.forEach((event, i) => {
      for (const listener of process.listeners(event)) {
        if (!before[i].includes(listener)) process.off(event, listener)
      }
    })
  }
}
