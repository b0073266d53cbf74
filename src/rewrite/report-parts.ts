import type { WrittenFile } from '../graph/write.js';
import { sha256 } from '../files/hash.js';
import { fileSource } from '../files/source.js';
import type { ConvertReport, Ratio } from '../contracts/convert.js';

/** Seconds since the last call, or since it was made. */
export function stopwatch(): () => number {
  let last = performance.now();
  return () => {
    const now = performance.now();
    const seconds = (now - last) / 1000;
    last = now;
    return seconds;
  };
}

export function ratio(before: number, after: number): Ratio {
  return { before, after, ratio: before === 0 ? 1 : after / before };
}

/** The facts about a file that was written; `bytes` with its external data. */
export function describeOutput(file: WrittenFile): ConvertReport['output'] {
  const { path, bytes, dataPath, dataBytes } = file;
  const data = dataPath === undefined ? {} : { data: { path: dataPath, bytes: dataBytes, sha256: hashOf(dataPath) } };
  return { path, bytes: bytes + dataBytes, sha256: hashOf(path), ...data };
}

function hashOf(path: string): string {
  const source = fileSource(path);
  try {
    return sha256(source);
  } finally {
    source.close();
  }
}

/** Does `work` here while `running` goes on elsewhere; whichever fails, both have ended. */
export async function meanwhile<T, U>(running: Promise<T>, work: () => U): Promise<[T, U]> {
  try {
    const result = work();
    return [await running, result];
  } finally {
    await Promise.allSettled([running]);
  }
}
