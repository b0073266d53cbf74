import { multiplyAdd, panelOf, panelSize, transposedPanelOf } from './multiply.js';
import { type Block, type DenseMatrix, padded, type Workspace } from './workspace.js';

/** A = H · T · Hᵀ with T symmetric tridiagonal and H = H_{n−1} ··· H₂ H₁ a product of reflectors I − tau v vᵀ. */
export interface Tridiagonal {
  /** Diagonal of T, n numbers. */
  readonly d: Float64Array;
  /** Off-diagonal of T: e[i] couples i and i + 1; e[n−1] is unused. */
  readonly e: Float64Array;
  /** Row i holds v of reflector Hᵢ in its first i columns; nothing of use beyond. */
  readonly reflectors: DenseMatrix;
  readonly tau: Float64Array;
}

/** Numbers of workspace that `tridiagonalize` allocates beside its matrix. */
export function reductionSpace(n: number): number {
  return 3 * padded(n) + 8;
}

/**
 * Householder's reduction of the symmetric matrix whose lower triangle is given, from the last row up (EISPACK tred2's
 * order, in which every v is a row); the matrix becomes the reflectors. One pass over the triangle per step: the update
 * of one step and the product of the next are one kernel, which halves the memory traffic that bounds this.
 */
export function tridiagonalize(workspace: Workspace, matrix: DenseMatrix): Tridiagonal {
  const { rows: n, stride, data: a, address } = matrix;
  const d = new Float64Array(n);
  const e = new Float64Array(n);
  const tau = new Float64Array(n);
  // The pending update A ← A − v wᵀ − w vᵀ; v lies in `matrix` after the first step.
  const w = workspace.allocate(padded(n));
  const y = workspace.allocate(padded(n));
  const none = workspace.allocate(padded(n));
  let pending: Block = none;
  for (let i = n - 1; i >= 0; i--) {
    const row = i * stride;
    const v = pending.data;
    for (let c = 0; c <= i; c++) a[row + c] = a[row + c]! - (v[i]! * w.data[c]! + w.data[i]! * v[c]!);
    d[i] = a[row + i]!;
    if (i === 0) break;
    // The reflector that takes the row to (0 … 0, beta).
    const x = a.subarray(row, row + i);
    const alpha = x[i - 1]!;
    let square = 0;
    for (let c = 0; c < i - 1; c++) square += x[c]! * x[c]!;
    if (square === 0) {
      e[i - 1] = alpha;
    } else {
      const beta = alpha > 0 ? -Math.sqrt(alpha * alpha + square) : Math.sqrt(alpha * alpha + square);
      e[i - 1] = beta;
      tau[i] = (beta - alpha) / beta;
      const scale = 1 / (alpha - beta);
      for (let c = 0; c < i - 1; c++) x[c] = x[c]! * scale;
    }
    x[i - 1] = 1;
    y.data.fill(0, 0, i);
    const rowAddress = address + row * 8;
    workspace.kernels.updateAndMultiply(address, stride * 8, i, pending.address, w.address, rowAddress, y.address);
    // w = tau y − (tau² / 2) (yᵀv) v makes A − v wᵀ − w vᵀ = Hᵢ A Hᵢ.
    const t = tau[i]!;
    let dot = 0;
    for (let c = 0; c < i; c++) dot += y.data[c]! * x[c]!;
    const correction = -0.5 * t * t * dot;
    for (let c = 0; c < i; c++) w.data[c] = t * y.data[c]! + correction * x[c]!;
    pending = { data: x, address: rowAddress };
  }
  return { d, e, reflectors: matrix, tau };
}

/** Reflectors applied at a time. */
const blockSize = 48;

/** Numbers of workspace that `applyReflectors` allocates for `rows` vectors. */
export function reflectionSpace(rows: number, n: number): number {
  return blockSize * (padded(n) + 2 * padded(blockSize)) + 2 * rows * padded(blockSize) + panelSize + 16;
}

/**
 * X ← X · Hᵀ for `rows` rows of X from `firstRow` on: eigenvectors of T, as rows, become those of A. By blocks of
 * reflectors in the compact form I − Vᵀ S V (Schreiber and Van Loan 1989).
 */
export function applyReflectors(
  workspace: Workspace,
  { reflectors, tau }: Tridiagonal,
  x: DenseMatrix,
  firstRow: number,
  rows: number,
): void {
  const n = reflectors.rows;
  const panel = workspace.allocate(panelSize);
  const v = workspace.matrix(blockSize, n);
  const gram = workspace.matrix(blockSize, blockSize);
  const factor = workspace.matrix(blockSize, blockSize);
  const xv = workspace.matrix(rows, blockSize);
  const xvs = workspace.matrix(rows, blockSize);
  const { kernels } = workspace;
  const target = { matrix: x, row: firstRow, col: 0 };
  const at = (matrix: DenseMatrix) => ({ matrix, row: 0, col: 0 });
  for (let begin = 2; begin < n; begin += blockSize) {
    const end = Math.min(n, begin + blockSize);
    const size = end - begin;
    const width = end - 1;
    v.data.fill(0);
    for (let j = 0; j < size; j++) {
      const row = (begin + j) * reflectors.stride;
      v.data.set(reflectors.data.subarray(row, row + begin + j), j * v.stride);
    }
    gram.data.fill(0);
    multiplyAdd(kernels, panel, at(gram), at(v), size, size, width, transposedPanelOf(at(v), size));
    compactFactor(gram, tau.subarray(begin, end), factor);
    xv.data.fill(0);
    multiplyAdd(kernels, panel, at(xv), target, rows, size, width, transposedPanelOf(at(v), size));
    xvs.data.fill(0);
    multiplyAdd(kernels, panel, at(xvs), at(xv), rows, size, size, panelOf(at(factor), size, -1));
    multiplyAdd(kernels, panel, target, at(xvs), rows, width, size, panelOf(at(v), width));
  }
}

/** The upper triangular S with H_first ··· H_last = I − Vᵀ S V, from V Vᵀ (LAPACK dlarft, forward). */
function compactFactor(gram: DenseMatrix, tau: Float64Array, factor: DenseMatrix): void {
  const s = factor.data;
  const { stride } = factor;
  s.fill(0);
  for (let j = 0; j < tau.length; j++) {
    const t = tau[j]!;
    for (let i = 0; i < j; i++) {
      let sum = 0;
      for (let k = i; k < j; k++) sum += s[i * stride + k]! * gram.data[k * gram.stride + j]!;
      s[i * stride + j] = -t * sum;
    }
    s[j * stride + j] = t;
  }
}
