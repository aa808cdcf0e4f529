// JPEG (ITU-T T.81): baseline, extended sequential of 8 and 12 bits, progressive and lossless, with
// Huffman codes. Samples are those of libjpeg-turbo. What the components are, the codec's configuration
// decides, as in libtiff; markers decide only where it says nothing.

import { huffman } from './bits.js'
import { toRGB } from './colour.js'
import { decodeLosslessScan } from './lossless.js'
import { Planes, reserve } from './planes.js'
import { decodeScan, ZIGZAG } from './scan.js'
import { standardTables } from './standard.js'
import { rowsOf } from './upsample.js'

// As libjpeg-turbo's fuzzers have it: more scans only cost time.
const MOST_SCANS = 500
const [SOF0, SOF2, SOF3, DHT, SOI, EOI, SOS, DQT, DRI] = [0xc0, 0xc2, 0xc3, 0xc4, 0xd8, 0xd9, 0xda, 0xdb, 0xdd]
const [APP0, APP14, COM] = [0xe0, 0xee, 0xfe]
/** Identifiers R, G and B of components. */
const RGB_IDS = '82,71,66'
/** Kinds and numbers of the standard Huffman tables. */
const STANDARD = [0, 1, 16, 17]
/** Markers that libjpeg takes: of frames, tables, scans and restarts, of applications, and comments. */
const isKnown = (marker) =>
  (marker >= SOF0 && marker <= DRI && marker !== 0xc8) || isSkipped(marker)
const isSkipped = (marker) => (marker >= APP0 && marker < 0xf0) || marker === COM
const isFrame = (marker) => marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)

/**
 * Decode a stream, abbreviated or not.
 *
 * `tables`: an abbreviated stream with tables; `stored`, `wanted`: colour spaces; `expected`: number
 * of samples of the chunk.
 */
export function decodeJPEG(bytes, { tables, stored, wanted, expected }) {
  let data
  const start = (state) => {
    const { frame } = state
    const samples = frame.components.length
    const most = (1 << frame.precision) - 1
    const space = stored ?? spaceByMarkers(state)
    const target = wanted ?? DELIVERED[space] ?? space
    if (frame.lossless && space !== target) throw new Error(`JPEG: from ${space} to ${target} without loss`)
    const convert = conversion(samples, most, space, target)
    data = new (frame.precision > 8 ? Uint16Array : Uint8Array)(expected)
    if (frame.lossless) {
      frame.data = data
      return undefined
    }
    const size = frame.width * samples
    const planes = new Planes(frame, (y) => {
      rows.forEach((row, s) => put(row(y), data, y * size + s, samples))
      convert(data, y * size, (y + 1) * size)
    })
    const rows = planes.planes.map((plane) => rowsOf(plane, frame))
    return planes
  }
  const { frame } = decode(bytes, { tables, fits: (samples) => samples === expected, expected, start })
  return { data, width: frame.width, height: frame.height, samples: frame.components.length }
}

function put(row, data, at, step) {
  if (step === 1) data.set(row, at)
  else for (let x = 0; x < row.length; x++, at += step) data[at] = row[x]
}

const DELIVERED = { YCbCr: 'RGB', YCCK: 'CMYK' }

/** What the components are where the directory does not say it: as libjpeg guesses (jdapimin.c). */
function spaceByMarkers({ frame, jfif, adobe }) {
  const ids = frame.components.map(({ id }) => id).join()
  switch (frame.components.length) {
    case 1:
      return 'GRAYSCALE'
    case 3:
      if (jfif) return 'YCbCr'
      if (adobe !== undefined) return adobe === 0 ? 'RGB' : 'YCbCr'
      return frame.lossless || ids === RGB_IDS ? 'RGB' : 'YCbCr'
    case 4:
      return adobe ? 'YCCK' : 'CMYK'
    default:
      return 'UNKNOWN'
  }
}

/** Decode a stream of 8 bits of at most `limit` samples to its components, as they are stored. */
export function decodePlanes(bytes, limit) {
  let found
  const start = ({ frame }) => {
    if (frame.lossless || frame.precision !== 8) throw new Error('JPEG: not a DCT of 8 bits')
    return (found = new Planes(frame))
  }
  const { frame } = decode(bytes, { fits: (samples) => samples <= limit, expected: limit, start })
  return { frame, planes: found.planes }
}

/**
 * Decode a stream whose number of samples `fits`. `start` is called at the first scan, and returns the planes of a DCT.
 */
function decode(bytes, { tables, fits, expected, start }) {
  const state = { quantisation: [], huffman: [], restart: 0, scans: 0, frame: null, fits, expected, start }
  if (tables) parse(state, tables)
  parse(state, bytes)
  if (!state.frame || state.scans === 0) throw new Error('JPEG: a stream without an image')
  // Coefficients that are of several scans.
  const { later } = state
  if (later) for (let mcu = 0; mcu < state.frame.mcusY; mcu++) later.add(mcu)
  return state
}

/** Prepare for the scans of a frame, of which the first has `count` components. */
function begin(state, count) {
  const { frame } = state
  const planes = state.start(state)
  if (frame.lossless) return
  if (STANDARD.some((id) => !state.huffman[id])) {
    const found = { huffman: [] }
    const tables = standardTables()
    huffmanTables(found, tables, 0, tables.length)
    for (const id of STANDARD) state.huffman[id] ??= found.huffman[id]
  }
  const isOnly = !frame.progressive && count === frame.components.length
  reserve(frame, isOnly)
  if (isOnly) state.planes = planes
  else state.later = planes
}

/** Function that converts a part of the samples in place. */
function conversion(samples, most, stored, wanted) {
  if (samples === 1 || stored === wanted) return () => {}
  if (stored === 'YCbCr' && wanted === 'RGB') return (data, from, to) => toRGB(data, 3, most, from, to)
  if (stored !== 'YCCK' || wanted !== 'CMYK') throw new Error(`JPEG: from ${stored} to ${wanted}`)
  return (data, from, to) => {
    toRGB(data, 4, most, from, to)
    for (let i = from; i < to; i++) if ((i & 3) !== 3) data[i] = most - data[i]
  }
}

function parse(state, data) {
  if (data[0] !== 0xff || data[1] !== SOI) throw new Error('JPEG: no JPEG stream')
  const word = (i) => (data[i] << 8) | data[i + 1]
  for (let at = 0; at + 1 < data.length; ) {
    const marker = data[at + 1]
    if (data[at] !== 0xff || marker === 0xff) {
      at++
      continue
    }
    at += 2
    if (marker === EOI) return
    // Of tables before the stream, only the tables hold.
    if (marker === SOI) Object.assign(state, { restart: 0, jfif: false, adobe: undefined })
    if (marker <= 1 || (marker >= 0xd0 && marker <= SOI)) continue
    const [start, end] = [at + 2, at + word(at)]
    // What is skipped, however long it says it is, ends with the stream.
    if (isSkipped(marker) && Math.max(start, end) > data.length) return
    if (!isKnown(marker) || (end < start && !isSkipped(marker)) || end > data.length) {
      throw new Error(`JPEG: a bad marker segment ${marker.toString(16)}`)
    }
    if (marker === DQT) quantisationTables(state, data, start, end)
    else if (marker === DHT) huffmanTables(state, data, start, end)
    else if (marker === DRI) state.restart = word(start)
    else if (marker === APP0) state.jfif ||= begins(data, start, end, 'JFIF\0', 14)
    else if (marker === APP14 && begins(data, start, end, 'Adobe', 12)) state.adobe = data[start + 11]
    else if (isFrame(marker)) state.frame = frameHeader(state, data.subarray(start, end), marker)
    else if (marker === SOS) {
      if (!state.frame) throw new Error('JPEG: a scan before its frame')
      if (++state.scans > MOST_SCANS) throw new Error(`JPEG: more than ${MOST_SCANS} scans`)
      if (state.planes) throw new Error('JPEG: a scan after that of all components')
      if (state.scans === 1) begin(state, data[start])
      at = (state.frame.lossless ? decodeLosslessScan : decodeScan)(state, data, start)
      continue
    }
    at = Math.max(end, start)
  }
}

/** Whether a segment of at least `length` bytes begins with some text. */
const begins = (data, start, end, text, length) =>
  end - start >= length && [...text].every((letter, i) => data[start + i] === letter.charCodeAt(0))

function quantisationTables(state, data, at, end) {
  while (at < end) {
    const [wide, id] = [data[at] >> 4, data[at] & 15]
    at++
    if (id > 3 || end - at < (wide ? 128 : 64)) throw new Error('JPEG: a bad quantisation table')
    const table = new Uint16Array(64)
    for (let k = 0; k < 64; k++, at += wide ? 2 : 1) {
      table[ZIGZAG[k]] = wide ? (data[at] << 8) | data[at + 1] : data[at]
    }
    state.quantisation[id] = table
  }
}

function huffmanTables(state, data, at, end) {
  while (at < end) {
    const counts = data.subarray(at + 1, at + 17)
    const total = counts.reduce((a, b) => a + b, 0)
    const symbols = data.subarray(at + 17, at + 17 + total)
    const isTooLong = data[at] < 16 && symbols.some((bits) => bits > 16)
    if ((data[at] & ~0x13) !== 0 || end - at < 17 + total || isTooLong) throw new Error('JPEG: a bad Huffman table')
    state.huffman[data[at]] = huffman(counts, symbols)
    at += 17 + total
  }
}

function frameHeader(state, data, marker) {
  if (state.frame) throw new Error('JPEG: more than one frame')
  if (marker > SOF3) throw new Error(`JPEG: kind SOF${marker - SOF0} is not supported`)
  const lossless = marker === SOF3
  const [precision, count] = [data[0], data[5]]
  if (data.length !== 6 + 3 * count) throw new Error('JPEG: a bad header of a frame')
  const [height, width] = [(data[1] << 8) | data[2], (data[3] << 8) | data[4]]
  if (!state.fits(width * height * count)) {
    throw new RangeError(`JPEG: ${height} × ${width} × ${count} samples for a chunk of ${state.expected}`)
  }
  if (lossless ? precision < 2 || precision > 16 : precision !== 8 && precision !== 12) {
    throw new Error(`JPEG: samples of ${precision} bits`)
  }
  const components = Array.from({ length: count }, (_, n) => {
    const [id, factors, quantisation] = data.subarray(6 + 3 * n, 9 + 3 * n)
    const [h, v] = [factors >> 4, factors & 15]
    if (!(h >= 1 && h <= 4 && v >= 1 && v <= 4)) throw new Error(`JPEG: sampling factors ${h}, ${v}`)
    return { id, h, v, quantisation, index: n }
  })
  // Blocks of one component alone are in rows (section A.2.2).
  if (count === 1) Object.assign(components[0], { h: 1, v: 1 })
  const hMax = Math.max(...components.map((c) => c.h))
  const vMax = Math.max(...components.map((c) => c.v))
  const frame = { precision, height, width, components, hMax, vMax, lossless, progressive: marker === SOF2 }
  if (lossless) {
    if (components.some((c) => c.h !== hMax || c.v !== vMax)) throw new Error('JPEG: lossless and subsampled')
    return frame
  }
  frame.mcusX = Math.ceil(width / (8 * hMax))
  frame.mcusY = Math.ceil(height / (8 * vMax))
  for (const c of components) {
    c.width = Math.ceil((width * c.h) / hMax)
    c.height = Math.ceil((height * c.v) / vMax)
    c.blocksX = frame.mcusX * c.h
  }
  return frame
}
