import { LowrankError } from '../../errors.js';
import { solveTridiagonal, tridiagonalSpace } from './divide-and-conquer.js';
import { implicitQl } from './ql.js';
import { applyReflectors, reductionSpace, reflectionSpace, tridiagonalize } from './tridiagonal.js';
import { createWorkspace, type DenseMatrix, padded, type Workspace } from './workspace.js';

export interface SymmetricEigen {
  /** All n, largest first. */
  readonly values: Float64Array;
  /** The leading `count` eigenvectors as rows: count × n, without gaps. */
  readonly vectors: Float64Array;
}

/**
 * Eigenvalues and the `count` leading eigenvectors of a symmetric n × n matrix, row-major, of which the lower triangle is
 * read. Both to float64's precision relative to the largest eigenvalue. Throws NUMERIC for non-finite input.
 */
export function symmetricEigen(matrix: Float64Array, n: number, count: number): SymmetricEigen {
  const space = n * padded(n) + reductionSpace(n) + tridiagonalSpace(n) + reflectionSpace(count, n);
  const workspace = createWorkspace(space);
  const { copy, scale } = scaledCopy(workspace, matrix, n);
  const reduced = tridiagonalize(workspace, copy);
  const { values, vectors } = solveTridiagonal(workspace, reduced.d, reduced.e, count);
  applyReflectors(workspace, reduced, vectors, n - count, count);
  const rows = new Float64Array(count * n);
  for (let i = 0; i < count; i++) {
    const begin = (n - 1 - i) * vectors.stride;
    rows.set(vectors.data.subarray(begin, begin + n), i * n);
  }
  return { values: values.reverse().map((value) => value / scale), vectors: rows };
}

/** All eigenvalues of a symmetric matrix, as `symmetricEigen` gives them. */
export function symmetricEigenvalues(matrix: Float64Array, n: number): Float64Array {
  const workspace = createWorkspace(n * padded(n) + reductionSpace(n));
  const { copy, scale } = scaledCopy(workspace, matrix, n);
  const { d, e } = tridiagonalize(workspace, copy);
  implicitQl(d, e, 0, n);
  return d
    .sort()
    .reverse()
    .map((value) => value / scale);
}

/** scale · matrix in the workspace, scale a power of two that brings the largest entry near 1: nothing under- or overflows. */
function scaledCopy(
  workspace: Workspace,
  matrix: Float64Array,
  n: number,
): { readonly copy: DenseMatrix; readonly scale: number } {
  const largest = largestOfLower(matrix, n);
  if (!Number.isFinite(largest)) {
    throw new LowrankError('NUMERIC', `a symmetric matrix of ${n} rows holds NaN, infinity or numbers near overflow`);
  }
  const scale = largest === 0 ? 1 : 2 ** -Math.max(-1000, Math.floor(Math.log2(largest)));
  const copy = workspace.matrix(n, n);
  copyLower(matrix, n, scale, copy);
  return { copy, scale };
}

/** The largest magnitude in the lower triangle; not finite where one of them, or their sum, is not. */
function largestOfLower(matrix: Float64Array, n: number): number {
  let largest = 0;
  let sum = 0;
  for (let i = 0; i < n; i++) {
    for (let at = i * n; at <= i * n + i; at++) {
      const value = Math.abs(matrix[at]!);
      sum += value;
      if (value > largest) largest = value;
    }
  }
  return Number.isFinite(sum) ? largest : sum;
}

function copyLower(matrix: Float64Array, n: number, scale: number, { data, stride }: DenseMatrix): void {
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) data[i * stride + j] = matrix[i * n + j]! * scale;
  }
}
