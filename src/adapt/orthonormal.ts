import { LowrankError } from '../errors.js';
import type { Linalg, Matrix, Matrix64 } from '../linalg/types.js';

/** Of a direction's length, what must be left of it outside of a basis for it to be a new one. */
const leastNew = 1e-6;
/** Of the largest eigenvalue of unit vectors' Gram matrix, below which a direction among them is rounding. */
const leastShare = 1e-12;

type Rows = Matrix | Matrix64;

/**
 * Orthonormal rows that, with those of `basis` (r × n, orthonormal), span what the rows of `others` span too; none of rows that
 * lie in the basis already, and at most n − r. In float64: rows are scaled to one length, the basis is taken out of them twice, and
 * what is left is made orthonormal by the eigenvectors of its Gram matrix, then by Cholesky–QR. Throws NUMERIC where a number is
 * not finite.
 */
export async function newDirections(linalg: Linalg, basis: Matrix, others: Matrix): Promise<Matrix64> {
  const { cols: n } = basis;
  const none: Matrix64 = { rows: 0, cols: n, data: new Float64Array(0) };
  let y = unitRows(others, 0);
  if (y.rows > 0) y = await without(linalg, y, basis);
  y = unitRows(await without(linalg, unitRows(y, leastNew), basis), 0);
  const room = Math.min(n - basis.rows, y.rows);
  if (room <= 0) return none;
  const gram = await linalg.gemm64(y, y, { transposeB: true });
  const { values, vectors } = await linalg.symmetricEigen(gram, room);
  const count = values.subarray(0, room).filter((value) => value > leastShare * values[0]!).length;
  const chosen = { rows: count, cols: y.rows, data: vectors.data.subarray(0, count * y.rows) };
  const span = unitRows(await linalg.gemm64(chosen, y), 0);
  return orthonormalRows(linalg, await without(linalg, span, basis));
}

/**
 * The rows made orthonormal, row i from the first i rows: Cholesky–QR in float64, twice. Throws NUMERIC where they do not differ or a
 * number is not finite.
 */
export async function orthonormalRows(linalg: Linalg, rows: Rows): Promise<Matrix64> {
  let q = unitRows(rows, 0);
  if (q.rows < rows.rows) throw dependent();
  for (let pass = 0; pass < 2; pass++) {
    const inverse = await linalg.inverseRoot(await linalg.gemm64(q, q, { transposeB: true }));
    if (inverse === undefined) throw dependent();
    q = await linalg.gemm64(inverse, q);
  }
  return q;
}

function dependent(): LowrankError {
  return new LowrankError('NUMERIC', 'the vectors of a basis do not differ', {
    remedy: 'train with a lower --lr, or with a smaller --max-rank',
  });
}

/** y − (y Bᵀ) B for orthonormal rows B. */
async function without(linalg: Linalg, y: Matrix64, basis: Rows): Promise<Matrix64> {
  if (basis.rows === 0 || y.rows === 0) return y;
  const inside = await linalg.gemm64(await linalg.gemm64(y, basis, { transposeB: true }), basis);
  return { ...y, data: y.data.map((value, i) => value - inside.data[i]!) };
}

/** Rows longer than `least`, each divided by its length. */
function unitRows({ rows, cols, data }: Rows, least: number): Matrix64 {
  const kept: Float64Array[] = [];
  for (let i = 0; i < rows; i++) {
    const row = data.subarray(i * cols, (i + 1) * cols);
    let largest = 0;
    for (const value of row) largest = Math.max(largest, Math.abs(value));
    // NaN is larger than nothing.
    let sum = 0;
    for (const value of row) sum += (value / (largest || 1)) ** 2;
    const length = largest * Math.sqrt(sum);
    if (!Number.isFinite(sum) || !Number.isFinite(length)) {
      throw new LowrankError('NUMERIC', 'a gradient or a basis is not finite', {
        remedy: 'train with a lower --lr, or with --clip 1',
      });
    }
    if (length > least) kept.push(Float64Array.from(row, (value) => value / length));
  }
  const result = new Float64Array(kept.length * cols);
  kept.forEach((row, i) => result.set(row, i * cols));
  return { rows: kept.length, cols, data: result };
}

/** Rows that are orthonormal but for rounding, nearer: Q ← (I − H) Q with H = (QQᵀ − I) / 2. */
export async function polished(linalg: Linalg, q: Matrix64): Promise<Matrix64> {
  if (q.rows === 0) return q;
  const half = await linalg.gemm64(q, q, { transposeB: true });
  for (let i = 0; i < q.rows; i++) half.data[i * q.rows + i] = half.data[i * q.rows + i]! - 1;
  const change = await linalg.gemm64(half, q);
  return { ...q, data: q.data.map((value, i) => value - change.data[i]! / 2) };
}
