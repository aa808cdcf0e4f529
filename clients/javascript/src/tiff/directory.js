// A directory of a TIFF or BigTIFF in memory: its tags, and where its segments are.

/** Bytes of a value, and the method of DataView that reads it, by type. */
const TYPES = {
  1: [1, 'getUint8'],
  2: [1, 'getUint8'],
  3: [2, 'getUint16'],
  4: [4, 'getUint32'],
  5: [8, 'rational'],
  6: [1, 'getInt8'],
  7: [1, 'getUint8'],
  8: [2, 'getInt16'],
  9: [4, 'getInt32'],
  11: [4, 'getFloat32'],
  12: [8, 'getFloat64'],
  13: [4, 'getUint32'],
  16: [8, 'getBigUint64'],
}

/** Directories that are followed: a chain may be a circle. */
const MOST_DIRECTORIES = 65536

const MOST_VALUES = 2 ** 20

/** Pixels that all segments of an image may have, beyond eight times its own: tiles of a narrow image are mostly padding. */
const MOST_PADDING = 2 ** 25

const damaged = (what) => new RangeError(`TIFF: ${what}`)

/** Read directory `index` of the main chain: `tags(tag, otherwise)` returns the values of a tag. */
export function readDirectory(bytes, index) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < 16) throw damaged('a file without a header')
  const order = view.getUint16(0)
  if (order !== 0x4949 && order !== 0x4d4d) throw damaged('a file without a byte order')
  const little = order === 0x4949
  const version = view.getUint16(2, little)
  if (version !== 42 && version !== 43) throw damaged(`version ${version}`)
  const big = version === 43
  const word = big ? 8 : 4
  const inside = (at, size) => {
    if (!(at >= 0 && at + size <= bytes.length)) throw damaged(`the file ends before byte ${at + size}`)
  }
  const address = (at) => {
    inside(at, word)
    return big ? Number(view.getBigUint64(at, little)) : view.getUint32(at, little)
  }
  const entriesAt = (at) => {
    inside(at, big ? 8 : 2)
    return [big ? Number(view.getBigUint64(at, little)) : view.getUint16(at, little), at + (big ? 8 : 2)]
  }
  const entryBytes = big ? 20 : 12
  let at = address(big ? 8 : 4)
  if (!(index >= 0 && index < MOST_DIRECTORIES)) throw damaged(`no directory ${index}`)
  for (let n = 0; n < index; n++) {
    const [count, first] = entriesAt(at)
    at = address(first + count * entryBytes)
    if (at === 0) throw damaged(`no directory ${index}`)
  }
  const [count, first] = entriesAt(at)
  inside(first, count * entryBytes)
  const entries = new Map()
  for (let n = 0; n < count; n++) {
    const entry = first + n * entryBytes
    const tag = view.getUint16(entry, little)
    // The first of several entries of a tag, as libtiff.
    if (!entries.has(tag)) entries.set(tag, entry)
  }
  const tags = (tag, otherwise) => {
    const entry = entries.get(tag)
    if (entry === undefined) return otherwise
    const [size, method] = TYPES[view.getUint16(entry + 2, little)] ?? []
    if (!size) throw damaged(`tag ${tag} of an unknown type`)
    const values = address(entry + 4)
    if (values > MOST_VALUES) throw damaged(`${values} values of tag ${tag}`)
    const value = entry + 4 + word
    const start = size * values <= word ? value : address(value)
    inside(start, size * values)
    return Array.from({ length: values }, (_, n) => {
      const place = start + n * size
      if (method !== 'rational') return Number(view[method](place, little))
      return view.getUint32(place, little) / view.getUint32(place + 4, little)
    })
  }
  return { tags, little }
}

/** The segments of an image: where each is in the file and in the image, and its size in pixels. */
export function segmentsOf(tags, bytes, planes = 1) {
  const [width] = tags(256, [0])
  const [height] = tags(257, [0])
  const tiled = tags(322) !== undefined
  const columns = tiled ? tags(322)[0] : width
  const rows = tiled ? tags(323, [0])[0] : Math.min(tags(278, [height])[0], height)
  const offsets = tags(tiled ? 324 : 273, tags(273, []))
  const counts = tags(tiled ? 325 : 279, tags(279, []))
  if (!(columns > 0 && rows > 0)) throw damaged('segments without a size')
  const across = Math.ceil(width / columns)
  const ofPlane = across * Math.ceil(height / rows)
  const total = planes * ofPlane
  if (offsets.length < total || counts.length < total) throw damaged(`${offsets.length} of ${total} segments`)
  if (total * columns * rows > 8 * planes * width * height + MOST_PADDING) {
    throw damaged(`${total} segments of ${rows} × ${columns} for an image of ${height} × ${width}`)
  }
  const segments = Array.from({ length: total }, (_, n) => {
    const [plane, place] = [Math.floor(n / ofPlane), n % ofPlane]
    const [y, x] = [Math.floor(place / across) * rows, (place % across) * columns]
    if (offsets[n] + counts[n] > bytes.length) throw damaged(`segment ${n} ends after the file`)
    const data = bytes.subarray(offsets[n], offsets[n] + counts[n])
    return { data, plane, y, x, width: columns, height: tiled ? rows : Math.min(rows, height - y) }
  })
  return { width, height, columns, rows, tiled, segments }
}
