// Reads arrays of an Icechunk repository with zarrita.js, over HTTP and with nothing else.
//
// The task is JSON on standard input; a line of JSON goes to standard output for every array that
// was tried, and its samples to files, in the byte order of the machine.

import { writeFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'

import * as zarr from 'zarrita'

import { openStore } from './store.mjs'

async function read(root, path, window) {
  const array = await zarr.open(root.resolve(path), { kind: 'array' })
  const whole = await zarr.get(array)
  const part = await zarr.get(
    array,
    window.map(([start, stop]) => zarr.slice(start, stop)),
  )
  return { dtype: array.dtype, whole, part }
}

// Samples in C order. zarrita lays a result out as the chunks are: its strides have to be followed
// where a chain transposes.
function bytesOf({ data, shape, stride }) {
  const out = new data.constructor(data.length)
  const index = shape.map(() => 0)
  for (let n = 0, at = 0; n < out.length; n++) {
    out[n] = data[at]
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at += stride[axis]
      if (++index[axis] < shape[axis]) break
      at -= stride[axis] * shape[axis]
      index[axis] = 0
    }
  }
  return new Uint8Array(out.buffer)
}

// zarrita 0.7 awaits the codecs of a chain one by one, so that the second of two that it does not
// know is a rejection that nobody handles.
process.on('unhandledRejection', () => {})

const task = JSON.parse(await text(process.stdin))
if (task.decoders) await import('./decoders.mjs')
const root = zarr.root(await openStore(task))
for (const name of task.names) {
  let answer
  try {
    const { dtype, whole, part } = await read(root, `${name}/${task.array}`, task.windows[name])
    await writeFile(`${task.to}/${name}.bin`, bytesOf(whole))
    await writeFile(`${task.to}/${name}.window.bin`, bytesOf(part))
    answer = { name, dtype, shape: whole.shape, windowShape: part.shape }
  } catch (error) {
    const cause = error.cause ? ` (${error.cause.message ?? error.cause})` : ''
    answer = { name, error: `${error.name}: ${error.message}${cause}` }
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}
// The workers of the WebAssembly build keep a process alive for a minute and more.
process.stdout.write('', () => process.exit(0))
