import { multiplyAdd, panelOf, panelSize, transposedPanelOf, type View } from './multiply.js';
import { createWorkspace, type DenseMatrix, padded } from './workspace.js';

const blockSize = 64;

/**
 * L⁻¹ for S = L Lᵀ, S symmetric and positive definite, n × n, row-major, of which the lower triangle is read; undefined
 * where S is not positive definite to working precision. S is first scaled to a unit diagonal: rows of very different
 * length do no harm. Right-looking by blocks, then the inverse by block rows.
 */
export function inverseCholesky(s: Float64Array, n: number): Float64Array | undefined {
  const workspace = createWorkspace(2 * n * padded(n) + 3 * (n + blockSize) * blockSize + panelSize + 64);
  const l = workspace.matrix(n, n);
  const scales = new Float64Array(n);
  if (!scaleToUnitDiagonal(s, n, scales, l)) return undefined;
  const inverse = workspace.matrix(n, n);
  const strip = workspace.matrix(Math.max(n, blockSize), blockSize);
  const wide = workspace.matrix(blockSize, n);
  const panel = workspace.allocate(panelSize);
  const { kernels } = workspace;
  const view = (matrix: DenseMatrix, row: number, col: number): View => ({ matrix, row, col });

  for (let k = 0; k < n; k += blockSize) {
    const size = Math.min(blockSize, n - k);
    const next = k + size;
    if (!factorDiagonal(l, k, size, n)) return undefined;
    invertDiagonal(l, inverse, k, size);
    // L₂₁ = A₂₁ L₁₁⁻ᵀ
    const rows = n - next;
    moveBlock(l, next, k, rows, size, strip);
    multiplyAdd(
      kernels,
      panel,
      view(l, next, k),
      view(strip, 0, 0),
      rows,
      size,
      size,
      transposedPanelOf(view(inverse, k, k), size),
    );
    // A₂₂ ← A₂₂ − L₂₁ L₂₁ᵀ, its lower blocks.
    for (let j = next; j < n; j += blockSize) {
      const cols = Math.min(blockSize, n - j);
      const write = transposedPanelOf(view(l, j, k), cols, -1);
      multiplyAdd(kernels, panel, view(l, j, j), view(l, j, k), n - j, cols, size, write);
    }
  }
  // Xᵢⱼ = −Lᵢᵢ⁻¹ Σ Lᵢₖ Xₖⱼ, j ≤ k < i
  for (let i = blockSize; i < n; i += blockSize) {
    const rows = Math.min(blockSize, n - i);
    wide.data.fill(0);
    for (let j = 0; j < i; j += blockSize) {
      const write = panelOf(view(inverse, j, j), blockSize);
      multiplyAdd(kernels, panel, view(wide, 0, j), view(l, i, j), rows, blockSize, i - j, write);
    }
    multiplyAdd(
      kernels,
      panel,
      view(inverse, i, 0),
      view(inverse, i, i),
      rows,
      i,
      rows,
      panelOf(view(wide, 0, 0), i, -1),
    );
  }
  return scaledColumns(inverse, scales);
}

/** The lower triangle of D S D, D = diag(scales), which has a unit diagonal. false where S cannot be positive definite. */
function scaleToUnitDiagonal(s: Float64Array, n: number, scales: Float64Array, l: DenseMatrix): boolean {
  const { data, stride } = l;
  for (let i = 0; i < n; i++) {
    const scale = 1 / Math.sqrt(s[i * n + i]!);
    if (!(scale > 0 && scale < Infinity)) return false;
    scales[i] = scale;
    for (let j = 0; j <= i; j++) data[i * stride + j] = s[i * n + j]! * scale * scales[j]!;
  }
  return true;
}

/** The lower triangle of a matrix times diag(scales), without gaps. */
function scaledColumns({ data, stride }: DenseMatrix, scales: Float64Array): Float64Array {
  const n = scales.length;
  const result = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) result[i * n + j] = data[i * stride + j]! * scales[j]!;
  }
  return result;
}

/** Moves a block of `l` to the start of `strip` and leaves zeros. */
function moveBlock(l: DenseMatrix, row: number, col: number, rows: number, cols: number, strip: DenseMatrix): void {
  for (let i = 0; i < rows; i++) {
    const at = (row + i) * l.stride + col;
    strip.data.set(l.data.subarray(at, at + cols), i * strip.stride);
    l.data.fill(0, at, at + cols);
  }
}

/** Cholesky's factor of a diagonal block, in place. false where a pivot has drowned in rounding. */
function factorDiagonal({ data, stride }: DenseMatrix, k: number, size: number, n: number): boolean {
  for (let j = 0; j < size; j++) {
    const row = (k + j) * stride + k;
    let pivot = data[row + j]!;
    for (let t = 0; t < j; t++) pivot -= data[row + t]! ** 2;
    // Entries of the scaled matrix are at most 1: each of up to n subtractions rounds by ε / 2.
    if (!(pivot > n * Number.EPSILON)) return false;
    const root = Math.sqrt(pivot);
    data[row + j] = root;
    for (let i = j + 1; i < size; i++) {
      const other = (k + i) * stride + k;
      let sum = data[other + j]!;
      for (let t = 0; t < j; t++) sum -= data[other + t]! * data[row + t]!;
      data[other + j] = sum / root;
    }
  }
  return true;
}

/** The inverse of a lower triangular diagonal block of `l`, into the same place of `inverse`. */
function invertDiagonal(l: DenseMatrix, inverse: DenseMatrix, k: number, size: number): void {
  const x = inverse.data;
  for (let i = 0; i < size; i++) {
    const row = (k + i) * l.stride + k;
    const target = (k + i) * inverse.stride + k;
    const scale = 1 / l.data[row + i]!;
    for (let t = 0; t < i; t++) {
      const factor = l.data[row + t]! * scale;
      const source = (k + t) * inverse.stride + k;
      for (let j = 0; j <= t; j++) x[target + j] = x[target + j]! - factor * x[source + j]!;
    }
    x[target + i] = scale;
  }
}
