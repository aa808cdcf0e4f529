// Chunks of arrays, decoded once each: tiles, bands and masks that share a chunk share its samples.

const BYTES = 256 * 2 ** 20

export class ChunkCache {
  #chunks = new Map()
  #bytes = 0

  /** How many chunks were decoded so far. */
  decoded = 0

  /** The chunk of an array at a position of its grid: a promise of `{ data, stride }`. */
  get(array, position) {
    const key = `${array.path}/${position.join('/')}`
    const found = this.#chunks.get(key)
    if (found) {
      // The last in the order of a Map is the one that was used last.
      this.#chunks.delete(key)
      this.#chunks.set(key, found)
      return found.chunk
    }
    const entry = { bytes: 0 }
    entry.chunk = array.getChunk(position).then((chunk) => {
      this.decoded++
      entry.bytes = chunk.data.byteLength
      this.#bytes += entry.bytes
      this.#shrink(key)
      return chunk
    })
    // What failed is tried again.
    entry.chunk.catch(() => this.#chunks.delete(key))
    this.#chunks.set(key, entry)
    return entry.chunk
  }

  #shrink(kept) {
    for (const [key, { bytes }] of this.#chunks) {
      if (this.#bytes <= BYTES) return
      if (key === kept || bytes === 0) continue
      this.#chunks.delete(key)
      this.#bytes -= bytes
    }
  }
}
