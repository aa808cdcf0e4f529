// Icechunk repositories over HTTP, as stores of zarrita.js.

import { Repository } from '@earthmover/icechunk'
import { createFetchStorage } from '@earthmover/icechunk/fetch-storage'
import { createHttpVirtualChunkFetcher } from '@earthmover/icechunk/http-virtual-chunks'

export async function openStore({ repository, prefix }) {
  const access = { [prefix]: { type: 'HttpAccess' } }
  const opened = await Repository.open(createFetchStorage(repository), undefined, access)
  // Before any session: sessions keep what the repository had when they were made.
  await opened.setHttpVirtualChunkFetcher(createHttpVirtualChunkFetcher())
  const session = await opened.readonlySession({ branch: 'main' })
  return session.store
}
