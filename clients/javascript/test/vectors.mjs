// Test vectors of codecs.

import { readdir, readFile } from 'node:fs/promises'

export { inCOrder, read, storeOf } from './chunk.mjs'

const FOLDER = new URL('../../vectors/', import.meta.url)
const base64 = (text) => new Uint8Array(Buffer.from(text, 'base64'))

/** Every vector, with the name of its codec. */
export async function vectors() {
  const files = (await readdir(FOLDER)).filter((name) => name.endsWith('.json')).sort()
  const found = await Promise.all(files.map(async (file) => {
    const items = JSON.parse(await readFile(new URL(file, FOLDER), 'utf8'))
    return items.map((item) => ({
      ...item,
      codec: file.replace(/\.json$/, ''),
      encoded: base64(item.encoded),
      decoded: base64(item.decoded),
    }))
  }))
  return found.flat()
}
