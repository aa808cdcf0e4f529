// Opens the repository and decodes chunks. A module worker, since Icechunk's threads wait, which the main thread of a
// page must not do.

// A static import would wait for WebAssembly, and messages of that time would be lost.
const loaded = import('./archive.js')

addEventListener('message', async ({ data: { id, method, args } }) => {
  try {
    const { methods } = await loaded
    const { result, transfer } = await methods[method](...args)
    postMessage({ id, result }, transfer ?? [])
  } catch (error) {
    postMessage({ id, error: error.cause ? `${error.message} (${error.cause.message ?? error.cause})` : error.message })
  }
})
