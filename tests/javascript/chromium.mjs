// Headless Chromium, with a profile of its own that is removed when it is closed.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { chromium } from 'playwright-core'

const FLAGS = [
  '--disable-background-networking', '--disable-component-update', '--disable-gpu', '--disable-sync', '--no-sandbox',
]

export async function launch() {
  const profile = await mkdtemp(join(tmpdir(), 'virtual-tiff-chromium-'))
  const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium'
  const context = await chromium.launchPersistentContext(profile, { executablePath, args: FLAGS, headless: true })
  const close = async () => {
    await context.close()
    await rm(profile, { recursive: true, force: true, maxRetries: 5 })
  }
  return { context, close }
}
