// Arrays of one chunk, for zarrita.js.

/** A store with an array of one chunk. */
export function storeOf({ data_type, chunk_shape, codecs, encoded }) {
  const document = {
    zarr_format: 3,
    node_type: 'array',
    shape: chunk_shape,
    data_type,
    chunk_grid: { name: 'regular', configuration: { chunk_shape } },
    chunk_key_encoding: { name: 'default' },
    fill_value: 0,
    codecs,
    attributes: {},
  }
  return new Map([
    ['/zarr.json', new TextEncoder().encode(JSON.stringify(document))],
    [`/c/${chunk_shape.map(() => 0).join("/")}`, encoded.slice()],
  ])
}

/** Read the array of a store. */
export async function read(zarr, store) {
  const array = await zarr.open.v3(zarr.root(store), { kind: 'array' })
  return inCOrder(await zarr.get(array))
}

/** Bytes of samples in C order, little-endian. zarrita.js lays a result out as the chunks are. */
export function inCOrder({ data, shape, stride }) {
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
