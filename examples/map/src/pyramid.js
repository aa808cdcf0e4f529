// Groups that Virtual TIFF publishes, as levels of pixels: an image with its overviews, a cube with or without them,
// and tiles of one grid, stitched (`regular`) or with dimensions of their own (`tiles`).

import * as zarr from 'zarrita'

/** The largest side of a tile of the map; chunks beyond it are cut, and decoded once. */
const LARGEST_TILE = 1024
const TILE_AXES = { y: 'tile_y', x: 'tile_x' }

/** `_FillValue` as xarray writes it: a number, or base64 of a little-endian double. */
export function fillValue(value, dataType) {
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'string' || !dataType.startsWith('float')) return Number(value)
  if (/^(NaN|[+-]?Infinity)$/.test(value)) return Number(value)
  const bytes = Uint8Array.from(atob(value), (character) => character.charCodeAt(0))
  const number = new DataView(bytes.buffer).getFloat64(0, true)
  return dataType === 'float32' ? Math.fround(number) : number
}

const SECONDS = {
  days: 86400, hours: 3600, minutes: 60, seconds: 1, milliseconds: 1e-3, microseconds: 1e-6, nanoseconds: 1e-9,
}

/** Times of CF, such as `seconds since 1970-01-01T00:00:00`, as ISO 8601. */
export function isoTimes(values, units) {
  const [, unit, since] = /^(\w+) since (.+)$/.exec(units ?? '') ?? []
  const start = Date.parse(/Z|[+-]\d\d:?\d\d$/.test(since) ? since : `${since}Z`)
  if (!(unit in SECONDS) || Number.isNaN(start)) return values.map(String)
  return values.map((value) => new Date(start + value * SECONDS[unit] * 1000).toISOString())
}

const open = (location, kind) => zarr.open.v3(location, { kind })

async function numbers(location) {
  const { data } = await zarr.get(await open(location, 'array'))
  return Array.from(data, Number)
}

/** Origin and size of a pixel, `[x, dx, y, dy]`, of a group without a layout: from its coordinates. */
async function gridOf(group) {
  const axes = await Promise.all(['x', 'y'].map(async (name) => {
    const centres = await numbers(group.resolve(name))
    const step = (centres.at(-1) - centres[0]) / (centres.length - 1)
    return { first: centres[0] - step / 2, step, size: centres.length }
  }))
  const [x, y] = axes
  return { transform: [x.step, 0, x.first, 0, y.step, y.first], shape: [y.size, x.size] }
}

async function openLevel(group, name, variable, described) {
  const folder = name ? group.resolve(name) : group
  const array = await open(folder.resolve(variable), 'array')
  const axes = array.dimensionNames
  const masked = String(array.attrs.ancillary_variables ?? '').split(' ').includes('mask')
  const mask = masked ? await open(folder.resolve('mask'), 'array') : undefined
  const { transform, shape } = described['spatial:transform']
    ? { transform: described['spatial:transform'], shape: described['spatial:shape'] }
    : await gridOf(folder)
  const [dx, shear, left, turn, dy, top] = transform
  if (shear || turn || dx <= 0 || dy >= 0) throw new Error(`${name}: only images with north up are shown`)
  // First row and column of each tile, where tiles have dimensions of their own.
  const starts = {}
  for (const axis of ['y', 'x']) {
    if (!axes.includes(TILE_AXES[axis])) continue
    const first = await numbers(folder.resolve(TILE_AXES[axis]))
    starts[axis] = first.map((value) => value - first[0])
  }
  const tile = ['y', 'x'].map((axis) => Math.min(array.chunks[axes.indexOf(axis)], LARGEST_TILE))
  return { array, axes, mask, starts, shape, tile, dx, dy, left, top }
}

/** Open a group: its levels from the finest, and what a map has to know of it. */
export async function openPyramid(store, path, variable) {
  const group = await open(zarr.root(store).resolve(path), 'group')
  const layout = group.attrs.multiscales?.layout ?? [{ asset: '' }]
  const levels = await Promise.all(layout.map((level) => openLevel(group, level.asset, variable, level)))
  const [{ array, axes, left, top, dx, dy, shape }] = levels
  const folder = layout[0].asset ? group.resolve(layout[0].asset) : group
  const mapping = await open(folder.resolve(String(array.attrs.grid_mapping ?? 'spatial_ref')), 'array')
    .then(({ attrs }) => attrs, () => ({}))
  const times = axes.includes('time') ? await open(folder.resolve('time'), 'array') : undefined
  return {
    levels,
    code: group.attrs['proj:code'],
    definition: group.attrs['proj:wkt2'] ?? mapping.crs_wkt,
    extent: [left, top + dy * shape[0], left + dx * shape[1], top],
    bands: axes.includes('band') ? array.shape[axes.indexOf('band')] : 1,
    times: times ? isoTimes(Array.from((await zarr.get(times)).data, Number), times.attrs.units) : [],
    scale: Number(array.attrs.scale_factor ?? 1),
    offset: Number(array.attrs.add_offset ?? 0),
    fill: fillValue(array.attrs._FillValue, array.dtype),
    isByte: array.dtype === 'uint8' && array.attrs.scale_factor === undefined && array.attrs.add_offset === undefined,
  }
}

/** Parts of `from` to `to` along an axis: tile (if any), chunk, first element in the chunk, how many, and where to. */
function* parts(level, axis, from, to) {
  const at = level.axes.indexOf(axis)
  const [size, chunk] = [level.array.shape[at], level.array.chunks[at]]
  for (const [tile, start] of (level.starts[axis] ?? [0]).entries()) {
    let inside = Math.max(from - start, 0)
    const end = Math.min(to - start, size)
    while (inside < end) {
      const number = Math.floor(inside / chunk)
      const count = Math.min(end, (number + 1) * chunk) - inside
      yield { tile, number, first: inside - number * chunk, count, to: inside + start - from }
      inside += count
    }
  }
}

/**
 * Read pixels of a level: an array with the bands and then opacity of each pixel.
 *
 * `rows` and `columns` are `[from, to]`; `select` has an index for each axis that is neither band nor of a tile.
 */
export async function readPixels(cache, pyramid, number, rows, columns, { bands, select }) {
  const level = pyramid.levels[number]
  const { scale, offset, fill, isByte } = pyramid
  const [height, width] = [rows[1] - rows[0], columns[1] - columns[0]]
  const count = bands.length + 1
  const data = new (isByte ? Uint8Array : Float32Array)(height * width * count)
  const opaque = isByte ? 255 : 1
  const isMissing = (value) => Number.isNaN(value) || value === fill
  const fetches = []
  // Tiles in their order: where they overlap, the later one counts.
  for (const row of parts(level, 'y', ...rows)) {
    for (const column of parts(level, 'x', ...columns)) {
      const chunks = bands.map((band) => {
        let start = 0
        const starts = []
        const position = level.axes.map((name, axis) => {
          const size = level.array.chunks[axis]
          if (name === 'y') return row.number
          if (name === 'x') return column.number
          const index = { band, tile_y: row.tile, tile_x: column.tile }[name] ?? select[name] ?? 0
          starts.push([axis, index % size])
          return Math.floor(index / size)
        })
        return cache.get(level.array, position).then(({ data: samples, stride }) => {
          for (const [axis, index] of starts) start += index * stride[axis]
          return { samples, start, dy: stride[level.axes.indexOf('y')], dx: stride[level.axes.indexOf('x')] }
        })
      })
      const mask = level.mask && cache.get(level.mask, [row.number, column.number])
      fetches.push(Promise.all([row, column, Promise.all(chunks), mask]))
    }
  }
  for (const [row, column, chunks, mask] of await Promise.all(fetches)) {
    for (let i = 0; i < row.count; i++) {
      for (let j = 0; j < column.count; j++) {
        const [y, x] = [row.first + i, column.first + j]
        if (mask && mask.data[y * mask.stride[0] + x * mask.stride[1]] === 0) continue
        const to = ((row.to + i) * width + column.to + j) * count
        let isSeen = fill === undefined
        for (const [b, { samples, start, dy, dx }] of chunks.entries()) {
          const value = Number(samples[start + y * dy + x * dx])
          if (isMissing(value)) continue
          isSeen = true
          data[to + b] = value * scale + offset
        }
        if (isSeen) data[to + bands.length] = opaque
      }
    }
  }
  return data
}
