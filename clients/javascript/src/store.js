// For zarrita.js before 0.7.4, such as Viv and Vizarr carry. It refuses to select one band of an array
// with a transpose codec: "Order length must match the number of dimensions".

import { product, strides } from './chain.js'

const NAME = 'tiff_c_order'

/**
 * Wrap a store so that arrays with a transpose codec have one codec that does the same.
 *
 * Chunks then come in C order. The registry needs the codecs of the arrays, and gets the new one.
 */
export function withoutTranspose(store, registry) {
  registry.set(NAME, async () => ({
    fromConfig: ({ codecs }, { shape, dataType, data_type }) => ({
      kind: 'array_to_bytes',
      encode() {
        throw new Error(`${NAME}: this package only decodes`)
      },
      decode: (bytes) => decode(bytes, codecs, { shape, dataType: dataType ?? data_type }, registry),
    }),
  }))
  return {
    async get(key, options) {
      const bytes = await store.get(key, options)
      if (!bytes || !key.endsWith('zarr.json')) return bytes
      const document = JSON.parse(new TextDecoder().decode(bytes))
      if (!document.codecs?.some(({ name }) => name === 'transpose')) return bytes
      document.codecs = [{ name: NAME, configuration: { codecs: document.codecs } }]
      return new TextEncoder().encode(JSON.stringify(document))
    },
  }
}

async function run(value, chain, meta, registry) {
  for (const { name, configuration } of [...chain].reverse()) {
    const load = registry.get(name)
    if (!load) throw new Error(`codec ${name} is not in the registry`)
    const codec = (await load()).fromConfig(configuration, { ...meta, data_type: meta.dataType, codecs: chain })
    value = await codec.decode(value)
  }
  return value
}

async function decode(bytes, codecs, meta, registry) {
  const at = codecs.findIndex(({ name }) => name === 'transpose')
  const { order } = codecs[at].configuration
  const stored = order.map((axis) => meta.shape[axis])
  const below = await run(bytes, codecs.slice(at + 1), { ...meta, shape: stored }, registry)
  const stride = []
  order.forEach((axis, i) => (stride[axis] = below.stride[i]))
  const view = { data: below.data, shape: meta.shape, stride }
  return inCOrder(await run(view, codecs.slice(0, at), meta, registry))
}

function inCOrder({ data, shape, stride }) {
  const out = new data.constructor(product(shape))
  const index = shape.map(() => 0)
  for (let n = 0, from = 0; n < out.length; n++) {
    out[n] = data[from]
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += stride[axis]
      if (++index[axis] < shape[axis]) break
      from -= stride[axis] * shape[axis]
      index[axis] = 0
    }
  }
  return { data: out, shape, stride: strides(shape) }
}
