// Decodes a large image in a process of its own, and prints the MiB that it takes at most beyond its samples (Linux).

import { readFileSync, writeFileSync } from 'node:fs'
import { deflateSync } from 'node:zlib'

import { register } from '../src/index.js'

const SIDE = 2048

/** RGB of 16 bits, whose rows have a filter each. */
function png() {
  const row = 1 + 6 * SIDE
  const raw = Buffer.alloc(row * SIDE)
  for (let i = 0, n = 1; i < raw.length; i++) raw[i] = i % row === 0 ? (i / row) % 5 : (n = (n * 69069 + 1) >>> 0) >>> 28
  const view = new DataView(new ArrayBuffer(13))
  view.setUint32(0, SIDE)
  view.setUint32(4, SIDE)
  view.setUint32(8, 0x10020000)
  const chunk = (type, body) => {
    const bytes = Buffer.concat([Buffer.alloc(4), Buffer.from(type), body, Buffer.alloc(4)])
    bytes.writeUInt32BE(body.length)
    bytes.writeUInt32BE(crc32(bytes.subarray(4, -4)), bytes.length - 4)
    return bytes
  }
  const parts = [['IHDR', Buffer.from(view.buffer)], ['IDAT', deflateSync(raw, { level: 1 })], ['IEND', Buffer.alloc(0)]]
  return Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), ...parts.map((part) => chunk(...part))])
}

function crc32(bytes) {
  let sum = -1
  for (const byte of bytes) {
    sum ^= byte
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (0xedb88320 & -(sum & 1))
  }
  return ~sum >>> 0
}

/** YCbCr of which every block is two codes of a bit, subsampled or not. */
function jpeg() {
  const size = [SIDE >> 8, SIDE & 255]
  const table = (kind) => [255, 196, 0, 20, kind, 1, ...new Uint8Array(15), 0]
  return Uint8Array.from([
    255, 216, 255, 219, 0, 67, 0, ...new Uint8Array(64).fill(1),
    255, 192, 0, 17, 8, ...size, ...size, 3, 1, 0x22, 0, 2, 0x11, 0, 3, 0x11, 0,
    ...table(0), ...table(16),
    255, 218, 0, 12, 3, 1, 0, 2, 0, 3, 0, 0, 63, 0, ...new Uint8Array((12 * (SIDE / 16) ** 2) / 8),
    255, 217,
  ])
}

const [name] = process.argv.slice(2)
const [encoded, dataType] = name === 'png' ? [png(), 'uint16'] : [jpeg(), 'uint8']
const registry = new Map()
register(registry)
const codec = `imagecodecs_${name}`
const { fromConfig } = await registry.get(codec)()
const meta = { shape: [SIDE, SIDE, 3], codecs: [{ name: codec }], dataType }
const { decode } = fromConfig({}, meta)
// What was garbage is given back a little later.
for (let round = 0; round < 3; round++) {
  gc()
  await new Promise((resolve) => setTimeout(resolve, 50))
}
// The highest so far begins anew.
writeFileSync('/proc/self/clear_refs', '5')
const before = process.memoryUsage.rss()
const { data } = await decode(encoded)
const most = 1024 * /VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]
console.log((most - before - data.byteLength) / 2 ** 20)
