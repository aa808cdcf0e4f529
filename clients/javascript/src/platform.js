// What differs between browsers and Node: this is the part for browsers and workers.

/** Bytes of a WebAssembly module. */
export async function readModule(url) {
  const response = await fetch(url)
  if (!response.ok) throw new Error(`${url}: HTTP status ${response.status}`)
  return new Uint8Array(await response.arrayBuffer())
}

/** Let a dependency load a module itself, once it is known that it is there. */
export async function located(url, load) {
  await readModule(url)
  return load(url)
}

/** Load a dependency that changes global state in Node only. */
export const contained = (load) => load()
