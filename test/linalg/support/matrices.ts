import { createRandom } from './random.js';
import type { Matrix, TruncatedSvd } from '../../../src/linalg/types.js';

export function matrixOf(rows: number, cols: number, element: (i: number, j: number) => number): Matrix {
  const data = new Float32Array(rows * cols);
  for (let i = 0; i < rows; i++) for (let j = 0; j < cols; j++) data[i * cols + j] = element(i, j);
  return { rows, cols, data };
}

export function gaussian(rows: number, cols: number, seed: number): Matrix {
  const random = createRandom(seed);
  return matrixOf(rows, cols, () => random.normal());
}

/** −1, 0 or 1 with probabilities 1/4, 1/2, 1/4. */
export function ternary(rows: number, cols: number, seed: number): Matrix {
  const random = createRandom(seed);
  return matrixOf(rows, cols, () => [-1, 0, 0, 1][Math.floor(random.uniform() * 4)]!);
}

/** Gaussian L · diag(weights) · R: the spectrum falls like the weights. */
export function withSpectrum(rows: number, cols: number, weights: readonly number[], seed: number): Matrix {
  const random = createRandom(seed);
  const left = Array.from({ length: rows * weights.length }, () => random.normal());
  const right = Array.from({ length: weights.length * cols }, () => random.normal());
  const sums = new Float64Array(rows * cols);
  for (let i = 0; i < rows; i++) {
    for (const [k, weight] of weights.entries()) {
      const factor = left[i * weights.length + k]! * weight;
      for (let j = 0; j < cols; j++) sums[i * cols + j] = sums[i * cols + j]! + factor * right[k * cols + j]!;
    }
  }
  return { rows, cols, data: Float32Array.from(sums) };
}

export function norm(data: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < data.length; i++) sum += data[i]! * data[i]!;
  return Math.sqrt(sum);
}

/** ‖A − left · diag(σ) · right‖_F in float64. */
export function residual(a: Matrix, { left, singularValues, right }: TruncatedSvd): number {
  let sum = 0;
  const row = new Float64Array(a.cols);
  for (let i = 0; i < a.rows; i++) {
    for (let j = 0; j < a.cols; j++) row[j] = a.data[i * a.cols + j]!;
    for (const [k, value] of singularValues.entries()) {
      const factor = left.data[i * left.cols + k]! * value;
      for (let j = 0; j < a.cols; j++) row[j] = row[j]! - factor * right.data[k * a.cols + j]!;
    }
    for (const value of row) sum += value * value;
  }
  return Math.sqrt(sum);
}

/** max |UᵀU − I| for orthonormal columns, or max |V Vᵀ − I| for orthonormal rows. */
export function orthonormalityError({ rows, cols, data }: Matrix, along: 'columns' | 'rows'): number {
  const [count, length] = along === 'rows' ? [rows, cols] : [cols, rows];
  const [step, stride] = along === 'rows' ? [1, cols] : [cols, 1];
  let worst = 0;
  for (let p = 0; p < count; p++) {
    for (let q = 0; q <= p; q++) {
      let sum = 0;
      for (let k = 0; k < length; k++) sum += data[p * stride + k * step]! * data[q * stride + k * step]!;
      worst = Math.max(worst, Math.abs(sum - (p === q ? 1 : 0)));
    }
  }
  return worst;
}
