// What differs between browsers and Node: this is the part for Node.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

import { fetchModule } from './fetch.js'

/** Bytes of a WebAssembly module. */
export async function readModule(url) {
  return new URL(url).protocol === 'file:' ? readFile(fileURLToPath(url)) : fetchModule(url)
}

/** Let a dependency load a module itself: in Node it reads none but files. */
export async function located(url, load) {
  const bytes = await readModule(url)
  if (new URL(url).protocol === 'file:') return load(url)
  const folder = await mkdtemp(join(tmpdir(), 'zarrita-tiff-codecs-'))
  try {
    const file = join(folder, 'module.wasm')
    await writeFile(file, bytes)
    return await load(pathToFileURL(file).href)
  } finally {
    await rm(folder, { recursive: true })
  }
}

const EVENTS = ['uncaughtException', 'unhandledRejection']

/**
 * Load a dependency that changes global state, and undo the change: Emscripten's older glue code
 * adds handlers to `process` that end it.
 */
export async function contained(load) {
  const before = EVENTS.map((event) => process.listeners(event))
  try {
    return await load()
  } finally {
    EVENTS.forEach((event, i) => {
      for (const listener of process.listeners(event)) {
        if (!before[i].includes(listener)) process.off(event, listener)
      }
    })
  }
}
