// Decodes every vector, then prints what of the process has changed. A process of its own, since the
// test runner has handlers itself.

import * as zarr from 'zarrita'

import { register } from '../src/index.js'
import { read, storeOf, vectors } from './vectors.mjs'

const state = () => ({
  names: Object.getOwnPropertyNames(globalThis).sort(),
  listeners: process.eventNames().map((name) => [String(name), process.listenerCount(name)]),
})

const before = state()
register(zarr.registry)
for (const vector of await vectors()) await read(zarr, storeOf(vector))
console.log(JSON.stringify({ before, after: state() }))
