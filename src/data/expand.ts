import { gunzipSync, inflateSync } from 'node:zlib';

/** A hundred times what the development kit of ILSVRC2012 and its tables have, and little memory. */
const most = 2 ** 26;

/** What a compressed piece of a file expands to. Throws a RangeError where that is more than 64 MiB, whatever it says itself. */
export function expand(bytes: Uint8Array, form: 'gzip' | 'zlib'): Buffer {
  try {
    return (form === 'gzip' ? gunzipSync : inflateSync)(bytes, { maxOutputLength: most });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_BUFFER_TOO_LARGE') throw error;
    throw new RangeError(`${bytes.length} bytes expand to more than ${most}`, { cause: error });
  }
}
