// Reads the values of one pixel at all times of a cube. The task is JSON on standard input.

import { text } from 'node:stream/consumers'

import * as zarr from 'zarrita'

import { openRoot } from './arrays.mjs'

// A cube has the dimensions time, y and x; times are seconds since 1970, as CF has them.
async function timeSeries(root, name, row, column) {
  const array = await zarr.open(root.resolve(name), { kind: 'array' })
  const time = await zarr.open(root.resolve('time'), { kind: 'array' })
  const values = await zarr.get(array, [null, row, column])
  const seconds = await zarr.get(time)
  return {
    times: Array.from(seconds.data, (value) => new Date(Number(value) * 1000)),
    values: Array.from(values.data, (value) => value * (array.attrs.scale_factor ?? 1)),
  }
}

const task = JSON.parse(await text(process.stdin))
const root = await openRoot({ ...task, codecs: true })
const series = await timeSeries(root, task.name, task.row, task.column)
// The workers of the WebAssembly build keep a process alive for a minute and more.
process.stdout.write(JSON.stringify(series), () => process.exit(0))
