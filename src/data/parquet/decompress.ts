import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { compressors, decompressZstd } from 'hyparquet-compressors';

type Decompressor = (bytes: Uint8Array, size: number) => Uint8Array;

/** By their numbers in parquet.thrift. */
const codecs: readonly (Decompressor | undefined)[] = [
  (bytes) => bytes,
  compressors.SNAPPY,
  (bytes, size) => gunzipSync(bytes, { maxOutputLength: Math.max(1, size) }),
  undefined,
  (bytes, size) => brotliDecompressSync(bytes, { maxOutputLength: Math.max(1, size) }),
  compressors.LZ4,
  // Into memory of the size that is known here: the stream may claim any.
  (bytes, size) => decompressZstd(bytes, new Uint8Array(size)),
  compressors.LZ4_RAW,
];

/** A page of `size` bytes. Throws an Error where it is another size, or damaged. */
export function decompress(bytes: Uint8Array, codec: number, size: number): Uint8Array {
  const decompressor = codecs[codec];
  if (decompressor === undefined) throw new RangeError(`a column has compression ${codec}, which is not read`);
  if (size === 0) return new Uint8Array(0);
  const page = decompressor(bytes, size);
  if (page.length !== size) throw new RangeError(`a page of ${page.length} bytes, where its header says ${size}`);
  return page;
}
