// Reads arrays with zarrita.js, in Node and in browsers.

import * as zarr from 'zarrita'
import { register } from 'zarrita-tiff-codecs'

import { inCOrder } from '../../clients/javascript/test/chunk.mjs'
import { openStore } from './store.mjs'

/** Root of the repository of a task; with the codecs of TIFF if it says so. */
export async function openRoot(task) {
  if (task.codecs) register(zarr.registry)
  return zarr.root(await openStore(task))
}

/** Read an array whole and in a window; what is wrong is part of the answer. */
export async function readArray(root, task, name) {
  try {
    const array = await zarr.open.v3(root.resolve(`${name}/${task.array}`), { kind: 'array' })
    const whole = await zarr.get(array)
    const window = task.windows[name].map(([start, stop]) => zarr.slice(start, stop))
    const part = await zarr.get(array, window)
    const answer = { name, dtype: array.dtype, shape: whole.shape, windowShape: part.shape }
    return { answer, whole: inCOrder(whole), part: inCOrder(part) }
  } catch (error) {
    const cause = error.cause ? ` (${error.cause.message ?? error.cause})` : ''
    return { answer: { name, error: `${error.name}: ${error.message}${cause}` } }
  }
}
