import type { NativeApi } from './api.js';

/** `const char *const *`: NUL-terminated UTF-8 strings. Native code may use it for as long as this object is referenced. */
export interface NativeStrings {
  readonly pointers: BigUint64Array;
  readonly bytes: readonly Buffer[];
}

export function nativeStrings(api: NativeApi, texts: readonly string[]): NativeStrings {
  const bytes = texts.map((text) => Buffer.from(`${text}\0`, 'utf8'));
  return { pointers: BigUint64Array.from(bytes, (view) => api.address(view)), bytes };
}
