// Streams of JPEG 2000 of some of the components of another (ITU-T T.800 Annex A). OpenJPEG's build for JavaScript
// returns images of one or three components.

import { joined } from '../bytes.js'
import { viewOf } from '../headers.js'
import { packetsOf } from './packets.js'

const [SIZ, COD, COC, QCD, QCC, SOT, SOD, EOC] = [0x51, 0x52, 0x53, 0x5c, 0x5d, 0x90, 0x93, 0xd9]
/** Markers that tell nothing about samples: TLM, PLM, PLT, CRG, COM. */
const IGNORED = [0x55, 0x57, 0x58, 0x63, 0x64]
const PRECINCTS = 1
const TILES = 65535

const refuse = (what) => {
  throw new RangeError(`JPEG 2000: ${what} is not supported with other than one or three samples a pixel`)
}

/** Marker segments from a place on, up to one that begins data: its place is the end. */
function segmentsFrom(stream, at, last) {
  const view = viewOf(stream)
  const segments = []
  while (stream[at + 1] !== last) {
    if (at + 4 > stream.length || stream[at] !== 0xff) throw new RangeError('JPEG 2000: damaged stream')
    const end = at + 2 + view.getUint16(at + 2)
    segments.push({ marker: stream[at + 1], body: stream.subarray(at + 4, end) })
    at = end
  }
  return { segments, end: at }
}

/** Parameters of COD and COC from their number of decompositions on (section A.6.1). */
function codingOf(body, hasPrecincts) {
  const [levels, width, height, style] = body
  if (levels > 32 || body.length < 5 + (hasPrecincts ? levels + 1 : 0)) throw new RangeError('JPEG 2000: damaged stream')
  const sizes = Array.from({ length: levels + 1 }, (_, n) => (hasPrecincts ? body[5 + n] : 0xff))
  return {
    levels,
    style,
    blockWidth: (width & 15) + 2,
    blockHeight: (height & 15) + 2,
    precincts: sizes.map((size) => [size & 15, size >> 4]),
  }
}

/** Compressed data of each tile, of all its tile parts. */
function tileData(stream, at) {
  const view = viewOf(stream)
  const tiles = new Map()
  while (at + 12 <= stream.length && stream[at] === 0xff && stream[at + 1] === SOT) {
    const [index, size] = [view.getUint16(at + 4), view.getUint32(at + 6)]
    const { segments, end } = segmentsFrom(stream, at + 12, SOD)
    const other = segments.find(({ marker }) => !IGNORED.includes(marker))
    if (other) refuse(`marker ${other.marker.toString(16)} of a tile`)
    const ending = stream[stream.length - 2] === 0xff && stream[stream.length - 1] === EOC ? 2 : 0
    const next = size === 0 ? stream.length - ending : at + size
    if (next > stream.length || next < end + 2) throw new RangeError('JPEG 2000: the stream ends early')
    tiles.set(index, [...(tiles.get(index) ?? []), stream.subarray(end + 2, next)])
    at = next
  }
  // A marker follows; OpenJPEG takes others than EOC too.
  if (stream[at] !== 0xff || at + 2 > stream.length) throw new RangeError('JPEG 2000: damaged stream')
  return tiles
}

function headerOf(stream) {
  const { segments, end } = segmentsFrom(stream, 2, SOT)
  const bodies = (marker) => segments.filter((one) => one.marker === marker).map(({ body }) => body)
  const other = segments.find(({ marker }) => ![SIZ, COD, COC, QCD, QCC, ...IGNORED].includes(marker))
  if (other) refuse(`marker ${other.marker.toString(16)}`)
  const [[size], [cod], [quantization]] = [SIZ, COD, QCD].map(bodies)
  if (!size || !cod || !quantization) throw new RangeError('JPEG 2000: damaged stream')
  const count = viewOf(size).getUint16(34)
  // The number of a component is of two bytes where there are many.
  if (count > 256) refuse(`${count} components`)
  const of = (marker) => new Map(bodies(marker).map((body) => [body[0], body]))
  return { size, cod, quantization, count, ownCoding: of(COC), ownQuantization: of(QCC), end }
}

/** Place of a tile on the reference grid (section B.3). */
function tileAt(size, index) {
  const view = viewOf(size)
  const [x1, y1, x0, y0, width, height, left, top] = Array.from({ length: 8 }, (_, n) => view.getUint32(2 + 4 * n))
  const across = Math.ceil((x1 - left) / width)
  const [column, row] = [index % across, Math.floor(index / across)]
  return {
    x0: Math.max(left + column * width, x0),
    x1: Math.min(left + (column + 1) * width, x1),
    y0: Math.max(top + row * height, y0),
    y1: Math.min(top + (row + 1) * height, y1),
  }
}

const segment = (marker, ...body) => [0xff, marker, (body.length + 2) >> 8, (body.length + 2) & 255, ...body]

/** Head of a stream of some components. */
function headOf({ size, cod, quantization, ownCoding, ownQuantization }, components, isTransformed) {
  const head = [...size.subarray(0, 34), 0, components.length]
  for (const component of components) head.push(...size.subarray(36 + 3 * component, 39 + 3 * component))
  const coding = [...cod]
  coding[4] = isTransformed ? 1 : 0
  const own = [[COC, ownCoding], [QCC, ownQuantization]].flatMap(([marker, bodies]) =>
    components.flatMap((component, n) =>
      bodies.has(component) ? segment(marker, n, ...bodies.get(component).subarray(1)) : []))
  return [0xff, 0x4f, ...segment(SIZ, ...head), ...segment(COD, ...coding), ...segment(QCD, ...quantization), ...own]
}

/** A tile in one part (section A.4.2). */
function tileOf(index, parts) {
  const size = 14 + parts.reduce((sum, part) => sum + part.length, 0)
  const head = Uint8Array.of(0xff, SOT, 0, 10, index >> 8, index & 255, 0, 0, 0, 0, 0, 1, 0xff, SOD)
  viewOf(head).setUint32(6, size)
  return [head, ...parts]
}

/**
 * Streams that together have the components of a codestream, each with the numbers of its own: three that are
 * transformed together (RGB and alpha), and every other alone.
 */
export function* splitComponents(stream) {
  const header = headerOf(stream)
  const { cod, size, count, ownCoding } = header
  const codings = Array.from({ length: count }, (_, component) => {
    const own = ownCoding.get(component)
    return own ? codingOf(own.subarray(2), own[1] & PRECINCTS) : codingOf(cod.subarray(5), cod[0] & PRECINCTS)
  })
  const order = { codings, progression: cod[1], layers: viewOf(cod).getUint16(2) }
  const tiles = [...tileData(stream, header.end)].map(([index, parts]) => {
    if (index >= TILES) throw new RangeError('JPEG 2000: damaged stream')
    const data = parts.length === 1 ? parts[0] : joined(parts)
    return { index, packets: [...packetsOf(data, tileAt(size, index), order)] }
  })
  const isTransformed = cod[4] !== 0 && count >= 3
  const groups = Array.from({ length: count }, (_, n) => [n])
  if (isTransformed) groups.splice(0, 3, [0, 1, 2])
  for (const components of groups) {
    const parts = tiles.flatMap(({ index, packets }) =>
      tileOf(index, packets.filter(([component]) => components.includes(component)).map(([, bytes]) => bytes)))
    const head = Uint8Array.from(headOf(header, components, components.length === 3))
    yield { components, stream: joined([head, ...parts, Uint8Array.of(0xff, EOC)]) }
  }
}
