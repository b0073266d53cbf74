import type { Matrix32, Matrix64 } from './svd-task.js';

/**
 * Memory of matrices that are no longer needed, for those that come next: fresh memory costs page faults, and garbage
 * collections, which count it. What is taken holds anything; what is not given back is left to the collector.
 */
export interface Scratch {
  take32(rows: number, cols: number): Matrix32;
  take64(rows: number, cols: number): Matrix64;
  /** The matrices must come from here, and nobody may use them any more. */
  give(...matrices: readonly (Matrix32 | Matrix64)[]): void;
}

/** Bytes of the largest buffer that is kept, and of all together. */
const largestKept = 16 * 2 ** 20;
const mostKept = 128 * 2 ** 20;

export function createScratch(): Scratch {
  /** By size, the smallest first. */
  const free: ArrayBuffer[] = [];
  let kept = 0;
  const bufferOf = (bytes: number): ArrayBuffer => {
    const place = free.findIndex(({ byteLength }) => byteLength >= bytes);
    // Half of a buffer unused at most: another matrix may need it whole.
    const found = place < 0 ? undefined : free[place]!;
    if (found === undefined || found.byteLength > 2 * bytes) return new ArrayBuffer(bytes);
    free.splice(place, 1);
    kept -= found.byteLength;
    return found;
  };
  return {
    take32: (rows, cols) => ({ rows, cols, data: new Float32Array(bufferOf(rows * cols * 4), 0, rows * cols) }),
    take64: (rows, cols) => ({ rows, cols, data: new Float64Array(bufferOf(rows * cols * 8), 0, rows * cols) }),
    give: (...matrices) => {
      for (const { data } of matrices) {
        const buffer = data.buffer as ArrayBuffer;
        if (buffer.byteLength > largestKept || kept + buffer.byteLength > mostKept) continue;
        const place = free.findIndex(({ byteLength }) => byteLength >= buffer.byteLength);
        free.splice(place < 0 ? free.length : place, 0, buffer);
        kept += buffer.byteLength;
      }
    },
  };
}
