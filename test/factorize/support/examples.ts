import type { Matrix } from '../../../src/linalg/types.js';
import { fromRows } from './weights.js';

const unit = (n: number, entries: Readonly<Record<number, number>>): number[] =>
  Array.from({ length: n }, (_, i) => entries[i] ?? 0);

/**
 * ALGORITHMS E.4: one neuron of norm 2 along e₁, 19 pairs of unit neurons √.1·e₂ ± √.9·eⱼ. The singular values squared are
 * 4, 3.8 and 19 of 1.8. With one direction: truncated SVD 19.000, rescaled 17.075, best singular direction (e₂) 16.189,
 * optimum 16.087.
 */
export function pairsExample(scale = 1): Matrix {
  const n = 21;
  const rows = [unit(n, { 0: 2 * scale })];
  for (let j = 2; j < n; j++) {
    for (const sign of [1, -1]) rows.push(unit(n, { 1: Math.sqrt(0.1) * scale, [j]: sign * Math.sqrt(0.9) * scale }));
  }
  return fromRows(rows);
}

/** Copies of a matrix along the diagonal. */
export function blockDiagonal(blocks: readonly Matrix[]): Matrix {
  const rows = blocks.reduce((sum, block) => sum + block.rows, 0);
  const cols = blocks.reduce((sum, block) => sum + block.cols, 0);
  const data = new Float32Array(rows * cols);
  let row = 0;
  let col = 0;
  for (const block of blocks) {
    for (let i = 0; i < block.rows; i++) {
      data.set(block.data.subarray(i * block.cols, (i + 1) * block.cols), (row + i) * cols + col);
    }
    row += block.rows;
    col += block.cols;
  }
  return { rows, cols, data };
}
