// The page that Chromium opens: passes tasks to a worker, one after the other.

const worker = new Worker(new URL('worker.js', import.meta.url), { type: 'module' })

globalThis.readArray = (task, name) => new Promise((resolve, reject) => {
  worker.onmessage = ({ data }) => resolve(data)
  worker.onerror = ({ message }) => reject(new Error(message))
  worker.postMessage([task, name])
})
