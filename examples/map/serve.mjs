// Serves a folder: `node serve.mjs FOLDER PORT`. Ranges, validators, and the headers that make a page cross-origin
// isolated, which Icechunk's threads need.

import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname, join, normalize } from 'node:path'

const TYPES = {
  '.css': 'text/css',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
}
const ISOLATION = {
  'cross-origin-embedder-policy': 'require-corp',
  'cross-origin-opener-policy': 'same-origin',
}
const [folder, port] = process.argv.slice(2)

/** First and last byte of a range of `size` bytes; nothing if the request names none. */
function range(header, size) {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? []
  if (first === undefined || (!first && !last)) return undefined
  if (!first) return [Math.max(0, size - Number(last)), size - 1]
  return [Number(first), Math.min(last ? Number(last) : size - 1, size - 1)]
}

async function answer(request, response) {
  const path = normalize(decodeURIComponent(new URL(request.url, 'http://localhost').pathname))
  const file = join(folder, path === '/' ? 'index.html' : path)
  const found = await stat(file).catch(() => undefined)
  if (!found?.isFile()) return response.writeHead(404, ISOLATION).end()
  const etag = `"${found.mtimeMs.toString(36)}-${found.size.toString(36)}"`
  const headers = {
    ...ISOLATION,
    'accept-ranges': 'bytes',
    'cache-control': 'no-cache',
    'content-type': TYPES[extname(file)] ?? 'application/octet-stream',
    etag,
    'last-modified': found.mtime.toUTCString(),
  }
  // A source that changed after it was published is not read.
  const wanted = request.headers['if-match']
  const since = request.headers['if-unmodified-since']
  const changed = wanted ? wanted !== etag && wanted !== '*' : since && Math.floor(found.mtimeMs / 1000) > Date.parse(since) / 1000
  if (changed) return response.writeHead(412, headers).end()
  const part = range(request.headers.range, found.size)
  if (part && part[0] > part[1]) return response.writeHead(416, { ...headers, 'content-range': `bytes */${found.size}` }).end()
  const [start, end] = part ?? [0, found.size - 1]
  headers['content-length'] = end - start + 1
  if (part) headers['content-range'] = `bytes ${start}-${end}/${found.size}`
  response.writeHead(part ? 206 : 200, headers)
  if (request.method === 'HEAD' || end < start) return response.end()
  createReadStream(file, { start, end }).on('error', () => response.destroy()).pipe(response)
}

createServer((request, response) => answer(request, response).catch(() => response.destroy())).listen(Number(port), '127.0.0.1')
