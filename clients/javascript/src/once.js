/** Call once; again after a failure, such as of the network. */
export const once = (load) => {
  let promise
  return () => (promise ??= load().catch((error) => {
    promise = undefined
    throw error
  }))
}
