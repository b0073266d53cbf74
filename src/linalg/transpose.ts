import type { RealMatrix } from './operand.js';
import type { Matrix } from './types.js';

const tile = 32;

/** Aᵀ in float32, by tiles that stay in cache. */
export function transposed(
  { rows, cols, data }: RealMatrix,
  result: Float32Array = new Float32Array(rows * cols),
): Matrix {
  for (let i0 = 0; i0 < rows; i0 += tile) {
    const i1 = Math.min(rows, i0 + tile);
    for (let j = 0; j < cols; j++) {
      const target = j * rows;
      for (let i = i0, source = i0 * cols + j; i < i1; i++, source += cols) result[target + i] = data[source]!;
    }
  }
  return { rows: cols, cols: rows, data: result };
}

/** Copies the lower triangle of a square matrix to the upper one. */
export function mirrorLower(data: Float32Array | Float64Array, n: number): void {
  for (let i0 = 0; i0 < n; i0 += tile) {
    const i1 = Math.min(n, i0 + tile);
    for (let j = 0; j < i1; j++) {
      for (let i = Math.max(i0, j + 1); i < i1; i++) data[j * n + i] = data[i * n + j]!;
    }
  }
}
