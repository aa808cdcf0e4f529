import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import * as zarr from 'zarrita'
import * as zarr05 from 'zarrita-0.5'
import * as zarr06 from 'zarrita-0.6'

import { names, register } from '../src/index.js'
import { read, storeOf, vectors } from './vectors.mjs'

const all = await vectors()

for (const [version, module] of [['0.5', zarr05], ['0.6', zarr06], ['0.7', zarr]]) {
  register(module.registry)
  for (const vector of all) {
    test(`zarrita ${version}: ${vector.codec}: ${vector.name}`, async () => {
      assert.deepEqual(await read(module, storeOf(vector)), vector.decoded)
    })
  }
}

test('every codec has a vector', () => {
  assert.deepEqual([...new Set(all.map(({ codec }) => codec))].sort(), [...names].sort())
})

test('nothing global is changed, and nothing is printed', async () => {
  const script = fileURLToPath(new URL('globals.mjs', import.meta.url))
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [script])
  const { before, after } = JSON.parse(stdout)
  assert.deepEqual(after, before)
  assert.equal(stderr, '')
})
