import type { ByteRange } from './source.js';

/** Bytes to be written: in memory, or a range to be copied from where it lies. */
export type Chunk = Uint8Array | ByteRange;

export function chunkLength(chunk: Chunk): number {
  return chunk instanceof Uint8Array ? chunk.length : chunk.end - chunk.start;
}

export function totalLength(chunks: readonly Chunk[]): number {
  let total = 0;
  for (const chunk of chunks) total += chunkLength(chunk);
  return total;
}

/** All of the chunks in one buffer: for what is known to be small. */
export function gather(chunks: readonly Chunk[]): Uint8Array {
  const bytes = Buffer.allocUnsafe(totalLength(chunks));
  let at = 0;
  for (const chunk of chunks) {
    const length = chunkLength(chunk);
    const target = bytes.subarray(at, at + length);
    if (chunk instanceof Uint8Array) target.set(chunk);
    else chunk.source.readInto(target, chunk.start);
    at += length;
  }
  return bytes;
}
