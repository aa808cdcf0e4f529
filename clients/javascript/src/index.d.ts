/** A registry of codecs, such as the `registry` that zarrita exports. */
export interface Registry {
  // zarrita does not export the type of an entry.
  set(name: string, load: () => Promise<any>): unknown
  get?(name: string): (() => any) | undefined
}

export type WasmFile = 'jxl.wasm' | 'lerc.wasm' | 'openjpeg.wasm'

export interface Options {
  /** Where a WebAssembly module is; by default in the folder `wasm` of this package. */
  wasm?: (name: WasmFile) => URL | string | Promise<URL | string>
}

/** Names of the codecs that {@link register} adds. */
export const names: readonly string[]

/**
 * Add the codecs to a registry of zarrita.js, and bound its own `zstd` and `bytes`. Each is loaded when a chunk needs
 * it.
 */
export function register(registry: Registry, options?: Options): void
