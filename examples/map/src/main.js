// The page: layers of a repository on a map in Web Mercator.
//
// `?repository=URL&prefix=URL&layers=[{"title":…,"group":…,"variable":…,"range":[0,1]}]` shows another repository;
// `prefix` is the container of its TIFFs, such as https://example.com/.

import Map from 'ol/Map.js'
import View from 'ol/View.js'
import { intersects } from 'ol/extent.js'
import Graticule from 'ol/layer/Graticule.js'
import WebGLTileLayer from 'ol/layer/WebGLTile.js'
import { transformExtent } from 'ol/proj.js'
import { register as registerProjections } from 'ol/proj/proj4.js'
import { Stroke } from 'ol/style.js'
import proj4 from 'proj4'

import { pyramidSource } from './source.js'

registerProjections(proj4)

const here = (path) => new URL(path, location.href).href
const query = new URLSearchParams(location.search)
const archive = { repository: query.get('repository') ?? here('repository'), prefix: query.get('prefix') ?? here('/') }
const layers = JSON.parse(query.get('layers') ?? 'null') ?? [
  { title: 'Terrain: float32, UTM', group: 'terrain', variable: 'image', range: [800, 2600], unit: 'm' },
  { title: 'Photo: RGB, JPEG, Web Mercator', group: 'photo', variable: 'image' },
  { title: 'Greenness: three dates', group: 'greenness', variable: 'greenness', range: [-0.2, 0.9] },
  { title: 'Slope: four tiles, one missing', group: 'slope', variable: 'slope', range: [0, 900], unit: '‰' },
]
const COLOURS = ['#440154', '#3b528b', '#21918c', '#5ec962', '#fde725']
const element = (id) => document.getElementById(id)

const worker = new Worker(new URL('worker.js', import.meta.url), { type: 'module' })
const waiting = new globalThis.Map()
worker.onmessage = ({ data: { id, result, error } }) => {
  const { resolve, reject } = waiting.get(id)
  waiting.delete(id)
  if (error === undefined) resolve(result)
  else {
    console.error(error)
    reject(new Error(error))
  }
}
let calls = 0
const call = (method, ...args) => new Promise((resolve, reject) => {
  waiting.set(++calls, { resolve, reject })
  worker.postMessage({ id: calls, method, args })
})

const map = new Map({
  target: 'map',
  layers: [new Graticule({ showLabels: true, strokeStyle: new Stroke({ color: '#0003' }), wrapX: false, zIndex: 1 })],
  view: new View({ projection: 'EPSG:3857' }),
})
let shown
/** Of the layer that was chosen last: others that come later are not shown. */
let chosen
/** Where the pointer is. */
let pointer

/** Colours of a single band, transparent where there is no data. */
function ramp([low, high]) {
  const stops = COLOURS.flatMap((colour, i) => [low + (high - low) * i / (COLOURS.length - 1), colour])
  return { color: ['case', ['==', ['band', 2], 0], [0, 0, 0, 0], ['interpolate', ['linear'], ['band', 1], ...stops]] }
}

function options(select, texts) {
  select.replaceChildren(...texts.map((text, i) => new Option(text, i)))
  select.parentElement.hidden = texts.length < 2
}

/** Show bands of the layer at one time. */
function draw() {
  const { layer, pyramid, old } = shown
  const choice = element('bands').value
  const bands = pyramid.bands >= 3 && choice === '0' ? [0, 1, 2] : [Math.max(0, Number(choice) - (pyramid.bands >= 3))]
  const select = { time: Number(element('time').value) }
  const source = pyramidSource(pyramid, bands.length, (level, rows, columns) =>
    call('pixels', pyramid.key, level, rows, columns, { bands, select }))
  source.on('tileloaderror', () => report(new Error('A tile could not be read.')))
  const range = layer.range ?? [0, 255]
  // Samples of bytes are from 0 to 1 in a style.
  const inStyle = pyramid.isByte ? range.map((value) => value / 255) : range
  const next = new WebGLTileLayer({ source, style: bands.length === 3 ? {} : ramp(inStyle) })
  map.addLayer(next)
  if (old) map.removeLayer(old)
  shown.old = next
  element('date').textContent = pyramid.times[select.time]?.slice(0, 10) ?? ''
  element('legend').hidden = bands.length === 3
  element('range').textContent = `${range[0]} to ${range[1]} ${layer.unit ?? ''}`
}

async function show(number) {
  const layer = layers[number]
  chosen = layer
  const pyramid = await call('pyramid', layer)
  if (chosen !== layer) return
  const first = !shown
  element('layer').value = number
  shown = { layer, pyramid, old: shown?.old }
  options(element('bands'), pyramid.bands >= 3
    ? ['red, green, blue', ...Array.from({ length: pyramid.bands }, (_, i) => `band ${i + 1}`)]
    : Array.from({ length: pyramid.bands }, (_, i) => `band ${i + 1}`))
  element('time').max = Math.max(0, pyramid.times.length - 1)
  element('time').value = 0
  element('time').parentElement.hidden = pyramid.times.length < 2
  draw()
  const extent = transformExtent(pyramid.extent, shown.old.getSource().getProjection(), 'EPSG:3857', 16)
  if (first || !intersects(extent, map.getView().calculateExtent())) {
    map.getView().fit(extent, { padding: [20, 20, 20, 20] })
  }
}

/** Values at a pixel of the map: undefined where there are none. */
function valuesAt(pixel) {
  const found = shown?.old.getData(pixel)
  return found && found.at(-1) ? Array.from(found).slice(0, -1) : undefined
}

function tell() {
  if (!pointer) return
  const digits = { maximumFractionDigits: 4 }
  const values = valuesAt(pointer)?.map((value) => value.toLocaleString('en', digits))
  element('value').textContent = values ? `${values.join(', ')} ${shown.layer.unit ?? ''}` : '–'
}

map.on('pointermove', ({ pixel }) => {
  pointer = pixel
  tell()
})
// Another time, layer or zoom has other values there.
map.on('rendercomplete', tell)

function report(error) {
  pointer = undefined
  element('value').textContent = error.message
}

try {
  await call('open', archive)
  options(element('layer'), layers.map(({ title }) => title))
  element('layer').onchange = ({ target }) => show(Number(target.value)).catch(report)
  element('bands').onchange = draw
  element('time').oninput = draw
  await show(0)
} catch (error) {
  report(error)
}
// For the test.
globalThis.viewer = { map, valuesAt, show, draw, statistics: () => call('statistics') }
