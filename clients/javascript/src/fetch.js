/**
 * Bytes of a WebAssembly module on a server.
 *
 * Many servers answer with a page where there is no file; decoders that are given one do not recover.
 */
export async function fetchModule(url) {
  const response = await fetch(url)
  if (!response.ok) throw new Error(`${url}: HTTP status ${response.status}`)
  const bytes = new Uint8Array(await response.arrayBuffer())
  if (!WebAssembly.validate(bytes)) {
    throw new Error(`${url}: no WebAssembly module, but ${response.headers.get('content-type')} of ${bytes.length} bytes`)
  }
  return bytes
}
