// Reads arrays of an Icechunk repository with zarrita.js in Node, over HTTP and with nothing else.
//
// The task is JSON on standard input; a line of JSON goes to standard output for every array that
// was tried, and its samples to files, in the byte order of the machine.

import { writeFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'

import { openRoot, readArray } from './arrays.mjs'

// zarrita 0.7 awaits the codecs of a chain one by one, so that the second of two that it does not
// know is a rejection that nobody handles.
process.on('unhandledRejection', () => {})

const task = JSON.parse(await text(process.stdin))
const root = await openRoot(task)
for (const name of task.names) {
  const { answer, whole, part } = await readArray(root, task, name)
  if (whole) {
    await writeFile(`${task.to}/${name}.bin`, whole)
    await writeFile(`${task.to}/${name}.window.bin`, part)
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}
// The workers of the WebAssembly build keep a process alive for a minute and more.
process.stdout.write('', () => process.exit(0))
