// Copies WebAssembly modules and licences of the dependencies into the package, so that both are
// served from one place. Runs after `npm install` in this folder and before `npm pack`.

import { copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('..', import.meta.url))
const require = createRequire(import.meta.url)

const MODULES = {
  'openjpeg.wasm': '@cornerstonejs/codec-openjpeg/decodewasm',
  'jxl.wasm': 'jxl-oxide-wasm/module.wasm',
  'lerc.wasm': 'lerc/lerc-wasm.wasm',
}

async function folderOf(name) {
  for (const base of require.resolve.paths(name)) {
    const found = join(base, name)
    if (await readFile(join(found, 'package.json')).catch(() => null)) return found
  }
  throw new Error(`${name} is not installed`)
}

await mkdir(join(here, 'wasm'), { recursive: true })
await mkdir(join(here, 'licenses'), { recursive: true })
for (const [name, source] of Object.entries(MODULES)) {
  await copyFile(fileURLToPath(import.meta.resolve(source)), join(here, 'wasm', name))
}
const { dependencies } = JSON.parse(await readFile(join(here, 'package.json'), 'utf8'))
for (const [name, version] of Object.entries(dependencies)) {
  const folder = await folderOf(name)
  const { license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'))
  const files = (await readdir(folder)).filter((file) => /^licen[cs]e.*(?<!\.json)$/i.test(file))
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')))
  const head = `${name} ${version}: ${license}\n`
  await writeFile(join(here, 'licenses', `${name.replace(/[@/]+/g, '-').replace(/^-/, '')}.txt`), [head, ...texts].join('\n'))
}
