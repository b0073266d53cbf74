import type { Matrix } from '../../../linalg/types.js';

/** Small dense helpers for the initializations; sums in float64. The heavy products go through Linalg. */

/** Σ aᵢbᵢ. */
export function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** a + scale·b, into `data`, which may be that of either. */
export function addScaled(
  a: Matrix,
  scale: number,
  b: Matrix,
  data: Float32Array = new Float32Array(a.data.length),
): Matrix {
  for (let i = 0; i < data.length; i++) data[i] = a.data[i]! + scale * b.data[i]!;
  return { rows: a.rows, cols: a.cols, data };
}

/** diag(scales)·a, where scale i belongs to `rowsPerScale` consecutive rows; into `data`, which may be a's own. */
export function scaleRows(
  a: Matrix,
  scales: ArrayLike<number>,
  rowsPerScale = 1,
  data: Float32Array = new Float32Array(a.data.length),
): Matrix {
  for (let row = 0, at = 0; row < a.rows; row++) {
    const scale = scales[Math.floor(row / rowsPerScale)]!;
    for (let col = 0; col < a.cols; col++, at++) data[at] = a.data[at]! * scale;
  }
  return { rows: a.rows, cols: a.cols, data };
}

/** a·diag(scales), into `data`, which may be a's own. */
export function scaleColumns(
  a: Matrix,
  scales: ArrayLike<number>,
  data: Float32Array = new Float32Array(a.data.length),
): Matrix {
  for (let row = 0, at = 0; row < a.rows; row++) {
    for (let col = 0; col < a.cols; col++, at++) data[at] = a.data[at]! * scales[col]!;
  }
  return { rows: a.rows, cols: a.cols, data };
}

/** Squared norms of groups of `rowsPerGroup` consecutive rows. */
export function groupEnergies(a: Matrix, rowsPerGroup: number): Float64Array {
  const size = rowsPerGroup * a.cols;
  const energies = new Float64Array(a.rows / rowsPerGroup);
  for (let group = 0, at = 0; group < energies.length; group++) {
    let sum = 0;
    for (const end = at + size; at < end; at++) sum += a.data[at]! * a.data[at]!;
    energies[group] = sum;
  }
  return energies;
}

/** Squared norms of the columns. */
export function columnEnergies(a: Matrix): Float64Array {
  const energies = new Float64Array(a.cols);
  for (let row = 0, at = 0; row < a.rows; row++) {
    for (let col = 0; col < a.cols; col++, at++) energies[col]! += a.data[at]! * a.data[at]!;
  }
  return energies;
}

/** The inverse of the Cholesky factor of the symmetric positive definite n × n matrix a: L⁻¹ with a = L·Lᵀ, lower. */
export function inverseCholesky(a: Matrix): Matrix {
  const n = a.rows;
  const factor = Float64Array.from(a.data);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = factor[i * n + j]!;
      for (let k = 0, p = i * n, q = j * n; k < j; k++) sum -= factor[p + k]! * factor[q + k]!;
      factor[i * n + j] = i === j ? Math.sqrt(sum) : sum / factor[j * n + j]!;
    }
  }
  // Row i of the inverse from the rows above: L·X = I.
  const inverse = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    const row = i * n;
    for (let k = 0; k < i; k++) {
      const scale = factor[row + k]!;
      if (scale === 0) continue;
      for (let j = 0, q = k * n; j <= k; j++) inverse[row + j]! -= scale * inverse[q + j]!;
    }
    const pivot = 1 / factor[row + i]!;
    for (let j = 0; j < i; j++) inverse[row + j]! *= pivot;
    inverse[row + i] = pivot;
  }
  return { rows: n, cols: n, data: Float32Array.from(inverse) };
}
