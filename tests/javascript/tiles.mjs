// Reads areas of cubes of tiles. The task is JSON on standard input; a line of JSON for each area
// goes to standard output.

import { text } from 'node:stream/consumers'

import * as zarr from 'zarrita'

import { openRoot } from './arrays.mjs'

// Rows and columns [start, end) of tiles as one array, by whole numbers alone. `front` are indices
// of the dimensions before tile_y, such as time and band.
async function readArea(root, name, rows, columns, front = []) {
  const open = (path) => zarr.open(root.resolve(path), { kind: 'array' })
  const [tiles, ...axes] = await Promise.all([name, 'tile_y', 'tile_x'].map(open))
  const [firstRows, firstColumns] = await Promise.all(
    axes.map(async (axis) => Array.from((await zarr.get(axis)).data, Number))
  )
  const [height, width] = tiles.shape.slice(-2)
  const missing = tiles.attrs._FillValue
  const size = [rows[1] - rows[0], columns[1] - columns[0]]
  let area
  for (const [i, row] of inside(firstRows, height, rows)) {
    for (const [j, column] of inside(firstColumns, width, columns)) {
      const part = [...row.slice, ...column.slice]
      const { data, shape, stride } = await zarr.get(tiles, [...front, i, j, ...part])
      area ??= new data.constructor(size[0] * size[1]).fill(missing ?? 0)
      for (let y = 0; y < shape[0]; y++) {
        for (let x = 0; x < shape[1]; x++) {
          const value = data[y * stride[0] + x * stride[1]]
          // What a later tile lacks, an earlier one may have.
          if (value !== missing) area[(row.to + y) * size[1] + column.to + x] = value
        }
      }
    }
  }
  return { data: area, shape: size }
}

// Tiles that have a part of [start, end): number, the part of them, and where it goes.
function* inside(firsts, length, [start, end]) {
  const origin = firsts[0]
  for (const [number, first] of firsts.entries()) {
    const from = Math.max(start, first - origin)
    const to = Math.min(end, first - origin + length)
    if (from >= to) continue
    const slice = [zarr.slice(from - first + origin, to - first + origin)]
    yield [number, { slice, to: from - start }]
  }
}

// The same of a regular grid, which is one array as it is.
async function readRegular(root, name, rows, columns, front = []) {
  const array = await zarr.open(root.resolve(name), { kind: 'array' })
  return zarr.get(array, [...front, zarr.slice(...rows), zarr.slice(...columns)])
}

const task = JSON.parse(await text(process.stdin))
const root = await openRoot({ ...task, codecs: true })
for (const { group, rows, columns, front } of task.areas) {
  const read = group.startsWith('tiles/') ? readArea : readRegular
  const { data, shape } = await read(root.resolve(group), 'data', rows, columns, front)
  process.stdout.write(`${JSON.stringify({ shape, values: Array.from(data) })}\n`)
}
// The workers of the WebAssembly build keep a process alive for a minute and more.
process.stdout.write('', () => process.exit(0))
