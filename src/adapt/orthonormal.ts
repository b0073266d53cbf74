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
 * what is left is made orthonormal by Cholesky–QR, where directions
 * depend on each other by the eigenvectors of their Gram matrix first. Throws NUMERIC where a number is
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
  if (room === y.rows) {
    const all = await choleskyQr(linalg, y);
    if (all !== undefined) {
      const outside = await without(linalg, all, basis);
      return (await choleskyQr(linalg, outside)) ?? orthonormalRows(linalg, outside);
    }
  }
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
  const unit = unitRows(rows, 0);
  const once = unit.rows < rows.rows ? undefined : await choleskyQr(linalg, unit);
  const twice = once && (await choleskyQr(linalg, once));
  if (twice === undefined) throw dependent();
  return twice;
}

/** One pass of Cholesky–QR; undefined where the rows depend on each other. */
async function choleskyQr(linalg: Linalg, rows: Matrix64): Promise<Matrix64 | undefined> {
  const inverse = await linalg.inverseRoot(await linalg.gemm64(rows, rows, { transposeB: true }));
  return inverse && linalg.gemm64(inverse, rows);
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
  const { data } = inside;
  for (let i = 0; i < data.length; i++) data[i] = y.data[i]! - data[i]!;
  return inside;
}

/** Rows longer than `least`, each divided by its length. */
function unitRows({ rows, cols, data }: Rows, least: number): Matrix64 {
  const result = new Float64Array(rows * cols);
  let kept = 0;
  for (let i = 0; i < rows; i++) {
    const from = i * cols;
    const length = lengthOf(data, from, from + cols);
    if (!Number.isFinite(length)) {
      throw new LowrankError('NUMERIC', 'a gradient or a basis is not finite', {
        remedy: 'train with a lower --lr, or with --clip 1',
      });
    }
    if (length <= least) continue;
    const at = kept++ * cols;
    for (let j = 0; j < cols; j++) result[at + j] = data[from + j]! / length;
  }
  return { rows: kept, cols, data: kept === rows ? result : result.slice(0, kept * cols) };
}

/** ‖x‖ of the elements `from` … `to` − 1, however small they are; not finite where one is not. */
function lengthOf(data: Float32Array | Float64Array, from: number, to: number): number {
  let [largest, sum] = [0, 0];
  for (let j = from; j < to; j++) {
    const size = Math.abs(data[j]!);
    if (size > largest) largest = size;
    // NaN and infinities survive x − x as NaN.
    sum += size - size;
  }
  if (largest === 0 || sum !== 0) return sum === 0 ? 0 : NaN;
  for (let j = from; j < to; j++) {
    const share = data[j]! / largest;
    sum += share * share;
  }
  return largest * Math.sqrt(sum);
}

/** Rows that are orthonormal but for rounding, nearer: Q ← (I − H) Q with H = (QQᵀ − I) / 2. */
export async function polished(linalg: Linalg, q: Matrix64): Promise<Matrix64> {
  if (q.rows === 0) return q;
  const half = await linalg.gemm64(q, q, { transposeB: true });
  for (let i = 0; i < q.rows; i++) half.data[i * q.rows + i] = half.data[i * q.rows + i]! - 1;
  const change = await linalg.gemm64(half, q);
  const { data } = change;
  for (let i = 0; i < data.length; i++) data[i] = q.data[i]! - data[i]! / 2;
  return change;
}
