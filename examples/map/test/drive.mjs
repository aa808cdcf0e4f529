// Opens the map in headless Chromium, and reports what it shows at places. The task is JSON on standard input:
// `{ url, picture, views: [{ layer, band, time, center, resolution, places }] }`, places in Web Mercator; answers are
// JSON on standard output, `{ views: [{ values, pixels, decoded }], messages, decoded }`.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

import { chromium } from 'playwright-core'

const FLAGS = [
  '--disable-background-networking', '--disable-component-update', '--disable-gpu', '--disable-sync', '--no-sandbox',
]
const task = JSON.parse(await text(process.stdin))
const profile = await mkdtemp(join(tmpdir(), 'virtual-tiff-map-'))
const context = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: FLAGS,
  headless: true,
  viewport: { width: 900, height: 600 },
})
const messages = []

/** Show a view in the page, and wait until it is drawn. */
async function showView({ layer, band, time, center, resolution }) {
  const { map, show, draw } = globalThis.viewer
  await show(layer)
  document.getElementById('bands').value = band ?? 0
  document.getElementById('time').value = time ?? 0
  if (center) map.getView().setCenter(center)
  if (resolution) map.getView().setResolution(resolution)
  const drawn = new Promise((resolve) => map.once('rendercomplete', resolve))
  draw()
  await drawn
}

/** Values that the pointer would show at places, where these are in the page, and the chunks decoded so far. */
async function look(places) {
  const { map, valuesAt, statistics } = globalThis.viewer
  const pixels = places.map((place) => map.getPixelFromCoordinate(place))
  const { decoded } = await statistics()
  return { values: pixels.map((pixel) => valuesAt(pixel) ?? null), pixels, decoded }
}

try {
  const page = await context.newPage()
  page.on('console', (message) => messages.push(message.text()))
  page.on('pageerror', (error) => messages.push(error.message))
  await page.goto(task.url)
  await page.waitForFunction(() => globalThis.viewer?.map.getLayers().getLength() > 1, undefined, { timeout: 60_000 })
  const views = []
  for (const view of task.views) {
    await page.evaluate(showView, view)
    views.push(await page.evaluate(look, view.places ?? []))
    if (view.picture) await page.screenshot({ path: view.picture })
  }
  const { decoded } = views.at(-1)
  process.stdout.write(JSON.stringify({ views, messages, decoded }))
} finally {
  await context.close()
  await rm(profile, { recursive: true, force: true, maxRetries: 5 })
}
