// A pyramid as a source of OpenLayers: tiles in the projection of the TIFFs, which OpenLayers reprojects.

import { get as getProjection } from 'ol/proj.js'
import { fromProjectionDefinition } from 'ol/proj/proj4.js'
import DataTile from 'ol/source/DataTile.js'
import WMTSTileGrid from 'ol/tilegrid/WMTS.js'

/**
 * Make a source.
 *
 * `read(level, rows, columns)` returns a promise of the samples of a window, bands and then opacity.
 */
export function pyramidSource({ levels, code, definition, extent }, bandCount, read) {
  // OpenLayers counts from the coarsest.
  const coarseFirst = levels.map((level, number) => ({ ...level, number })).sort((a, b) => b.dx - a.dx)
  const tileGrid = new WMTSTileGrid({
    extent,
    origins: coarseFirst.map(({ left, top }) => [left, top]),
    resolutions: coarseFirst.map(({ dx }) => dx),
    tileSizes: coarseFirst.map(({ tile: [height, width] }) => [width, height]),
    matrixIds: coarseFirst.map((_, z) => String(z)),
  })

  async function loader(z, x, y) {
    const { number, shape, tile, dx, dy } = coarseFirst[z]
    const [height, width] = tile
    // Tiles of OpenLayers have square pixels; those of the level may be a little higher or lower.
    const ratio = dx / -dy
    const columns = [x * width, Math.min((x + 1) * width, shape[1])]
    const rows = [Math.floor(y * height * ratio), Math.min(Math.ceil((y + 1) * height * ratio), shape[0])]
    const count = bandCount + 1
    const samples = await read(number, rows, columns)
    const [have, there] = [columns[1] - columns[0], rows[1] - rows[0]]
    if (have === width && there === height && ratio === 1) return samples
    const out = new samples.constructor(width * height * count)
    for (let i = 0; i < height; i++) {
      const row = Math.floor((y * height + i + 0.5) * ratio) - rows[0]
      if (row < 0 || row >= there) continue
      out.set(samples.subarray(row * have * count, (row + 1) * have * count), i * width * count)
    }
    return out
  }

  return new DataTile({
    loader,
    tileGrid,
    projection: getProjection(code ?? '') ?? fromProjectionDefinition(definition),
    bandCount: bandCount + 1,
    // Values are shown as they are, not mixed.
    interpolate: false,
    transition: 0,
    wrapX: false,
  })
}
