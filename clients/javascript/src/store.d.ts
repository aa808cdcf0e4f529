import type { Registry } from './index.js'

/** The part of a store of zarrita.js that reading needs. */
export interface Readable {
  get(key: `/${string}`, options?: unknown): Promise<Uint8Array | undefined> | Uint8Array | undefined
}

/** A store whose answers are promises, as zarrita.js takes it. */
export interface AsyncReadable {
  get(key: `/${string}`, options?: { signal?: AbortSignal }): Promise<Uint8Array | undefined>
}

/**
 * Wrap a store for zarrita.js before 0.7.4, which cannot select one band of an array with a transpose
 * codec. The registry needs the codecs of the arrays as well.
 */
export function withoutTranspose(store: Readable, registry: Registry & { get(name: string): unknown }): AsyncReadable
