import type { Matrix } from '../../../src/linalg/types.js';
import { fillTruncatedNormal, fillWords, randomStream } from '../../../src/random.js';

/** Truncated normal entries (2σ) of deviation 1/√cols before truncation: what ALGORITHMS E.5 was measured on. */
export function freshWeight(rows: number, cols: number, seed: number): Matrix {
  const data = new Float32Array(rows * cols);
  fillTruncatedNormal(randomStream(seed, `weight ${rows} × ${cols}`), data, 0, 1 / Math.sqrt(cols));
  return { rows, cols, data };
}

/** N(0, 1) by Box and Muller. */
export function normals(count: number, seed: number, name: string): Float64Array {
  const words = new Int32Array(2 * Math.ceil(count / 2));
  fillWords(randomStream(seed, name), words);
  const result = new Float64Array(words.length);
  for (let i = 0; i < words.length; i += 2) {
    const radius = Math.sqrt(-2 * Math.log(((words[i]! >>> 0) + 0.5) / 2 ** 32));
    const angle = (2 * Math.PI * ((words[i + 1]! >>> 0) + 0.5)) / 2 ** 32;
    result[i] = radius * Math.cos(angle);
    result[i + 1] = radius * Math.sin(angle);
  }
  return result.subarray(0, count);
}

export function diagonal(values: readonly number[]): Matrix {
  const n = values.length;
  const data = new Float32Array(n * n);
  values.forEach((value, i) => (data[i * n + i] = value));
  return { rows: n, cols: n, data };
}

export function fromRows(rows: readonly (readonly number[])[]): Matrix {
  return { rows: rows.length, cols: rows[0]!.length, data: Float32Array.from(rows.flat()) };
}
