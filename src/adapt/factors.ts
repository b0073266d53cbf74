import type { Matrix } from '../linalg/types.js';

/**
 * A layer's weight W ≈ U S Vᵀ, as a matrix of rows × cols. Bases may have more columns than the rank: in the midst of a cycle, where
 * S is not diagonal.
 */
export interface LayerFactors {
  /** U, rows × a, with orthonormal columns. */
  readonly left: Matrix;
  /** S, a × b. */
  readonly core: Matrix;
  /** Vᵀ, b × cols, with orthonormal rows. */
  readonly right: Matrix;
  /** What the optimizer keeps of S, each a × b. */
  readonly buffers: readonly Matrix[];
  /** The moving average of S, in the same bases; undefined without averaging. */
  readonly average: Matrix | undefined;
}

/** The matrix with zeros beside and below it, or its upper left part; itself where it has that size. */
export function resized({ rows, cols, data }: Matrix, toRows: number, toCols: number): Matrix {
  if (rows === toRows && cols === toCols) return { rows, cols, data };
  const result = new Float32Array(toRows * toCols);
  const [height, width] = [Math.min(rows, toRows), Math.min(cols, toCols)];
  for (let i = 0; i < height; i++) result.set(data.subarray(i * cols, i * cols + width), i * toCols);
  return { rows: toRows, cols: toCols, data: result };
}

/** diag(values). */
export function diagonal(values: ArrayLike<number>): Matrix {
  const n = values.length;
  const data = new Float32Array(n * n);
  for (let i = 0; i < n; i++) data[i * n + i] = values[i]!;
  return { rows: n, cols: n, data };
}

/** The diagonal. */
export function diagonalOf({ rows, cols, data }: Matrix): Float64Array {
  return Float64Array.from({ length: Math.min(rows, cols) }, (_, i) => data[i * cols + i]!);
}

/** Columns up to the last one that is not all zeros. */
export function usedColumns({ rows, cols, data }: Matrix): number {
  for (let j = cols; j > 0; j--) for (let i = 0; i < rows; i++) if (data[i * cols + j - 1] !== 0) return j;
  return 0;
}

/** Rows up to the last one that is not all zeros. */
export function usedRows({ rows, cols, data }: Matrix): number {
  let used = rows * cols;
  while (used > 0 && data[used - 1] === 0) used--;
  return cols === 0 ? 0 : Math.ceil(used / cols);
}
