import assert from 'node:assert/strict'
import { test } from 'node:test'

import * as zarr05 from 'zarrita-0.5'
import * as zarr06 from 'zarrita-0.6'
import * as zarr073 from 'zarrita-0.7.3'

import { register } from '../src/index.js'
import { withoutTranspose } from '../src/store.js'
import { inCOrder, storeOf, vectors } from './vectors.mjs'

const transposed = (await vectors()).filter(({ codecs }) => codecs.some(({ name }) => name === 'transpose'))

for (const [version, zarr] of [['0.5', zarr05], ['0.6', zarr06], ['0.7.3', zarr073]]) {
  register(zarr.registry)
  test(`zarrita ${version} selects a band of a transposed array`, async () => {
    assert.ok(transposed.length > 2)
    for (const vector of transposed) {
      const store = storeOf(vector)
      const select = async (from) =>
        zarr.get(await zarr.open.v3(zarr.root(from), { kind: 'array' }), [1, null, null])
      // What the wrapper is for; where this works, it can go.
      await assert.rejects(select(store), vector.name)
      const bytes = inCOrder(await select(withoutTranspose(store, zarr.registry)))
      const size = vector.decoded.length / 3
      assert.deepEqual(bytes, vector.decoded.subarray(size, 2 * size), vector.name)
    }
  })
}
