// Reads arrays in a worker, and returns them as text. In the main thread of a page, Icechunk fails
// now and then: "Atomics.wait cannot be called in this context".

// A static import would wait for WebAssembly, and tasks of that time would be lost.
const loaded = import('./arrays.mjs')

function base64(bytes) {
  let text = ''
  for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768))
  return btoa(text)
}

let root

addEventListener('message', async ({ data: [task, name] }) => {
  const { openRoot, readArray } = await loaded
  root ??= openRoot(task)
  const { answer, whole, part } = await readArray(await root, task, name)
  postMessage(whole ? { answer, whole: base64(whole), part: base64(part) } : { answer })
})
