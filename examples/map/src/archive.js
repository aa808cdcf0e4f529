// What the worker does for the page.

import { Repository } from '@earthmover/icechunk'
import { createFetchStorage } from '@earthmover/icechunk/fetch-storage'
import { createHttpVirtualChunkFetcher } from '@earthmover/icechunk/http-virtual-chunks'
import * as zarr from 'zarrita'
import { register } from 'zarrita-tiff-codecs'

import { ChunkCache } from './chunks.js'
import { openPyramid, readPixels } from './pyramid.js'

register(zarr.registry)
// By default Icechunk loads the manifests of coordinates when a session opens: 20 requests that a map does not need.
const CONFIG = { manifest: { preload: { max_total_refs: 0, preload_if: 'false', max_arrays_to_scan: 0 } } }
const cache = new ChunkCache()
const pyramids = new Map()
let store

export const methods = {
  async open({ repository, prefix }) {
    const opened = await Repository.open(createFetchStorage(repository), CONFIG, { [prefix]: { type: 'HttpAccess' } })
    await opened.setHttpVirtualChunkFetcher(createHttpVirtualChunkFetcher())
    store = (await opened.readonlySession({ branch: 'main' })).store
    return {}
  },

  async pyramid({ group, variable }) {
    const key = `${group}/${variable}`
    if (!pyramids.has(key)) pyramids.set(key, await openPyramid(store, group, variable))
    const { levels, ...rest } = pyramids.get(key)
    const sizes = levels.map(({ dx, dy, left, top, shape, tile }) => ({ dx, dy, left, top, shape, tile }))
    return { result: { key, levels: sizes, ...rest } }
  },

  async pixels(key, level, rows, columns, selection) {
    const data = await readPixels(cache, pyramids.get(key), level, rows, columns, selection)
    return { result: data, transfer: [data.buffer] }
  },

  async statistics() {
    return { result: { decoded: cache.decoded } }
  },
}
