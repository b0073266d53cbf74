import { LowrankError, throwIfAborted } from '../errors.js';
import type { Driver } from '../runtime/types.js';
import { fillTruncatedNormal, randomStream } from '../random.js';
import { symmetricEigen } from './eigen.js';
import { createGemms, type Gemms } from './gemms.js';
import type { GemmOptions, Linalg, Matrix, SvdOptions, TruncatedSvd } from './types.js';

export interface LinalgOptions {
  readonly driver: Driver;
  readonly threads?: number;
}

/** Side up to which a full eigen-decomposition of the Gram matrix is simpler than iterating. */
const directSide = 160;

/** Linear algebra over a driver. The caller closes it. */
export async function createLinalg(options: LinalgOptions): Promise<Linalg> {
  const gemms = await createGemms(options.driver, options.threads);
  return {
    gemm: (a: Matrix, b: Matrix, gemmOptions: GemmOptions = {}) => gemms.multiply(a, b, gemmOptions),
    truncatedSvd: (a, rank, svd = {}) => truncatedSvd(gemms, a, rank, svd),
    singularValues: async (a, svd = {}) => {
      const { values } = await gramEigen(gemms, a, svd.signal);
      return values.map((value) => Math.sqrt(Math.max(0, value)));
    },
    close: () => gemms.close(),
  };
}

function checkFinite(a: Matrix): void {
  const at = a.data.findIndex((value) => !Number.isFinite(value));
  if (at >= 0) throw new LowrankError('NUMERIC', `element ${at} of the matrix is ${a.data[at]}`);
}

/** Eigenvalues (largest first) and eigenvectors (rows) of the smaller Gram matrix, in float64. */
async function gramEigen(
  gemms: Gemms,
  a: Matrix,
  signal?: AbortSignal,
): Promise<{ values: Float64Array; vectors: Float64Array }> {
  checkFinite(a);
  throwIfAborted(signal);
  const n = Math.min(a.rows, a.cols);
  const gram = await gemms.gram64(a);
  throwIfAborted(signal);
  const { values, vectors } = symmetricEigen(gram, n);
  const reversed = new Float64Array(n * n);
  for (let i = 0; i < n; i++) reversed.set(vectors.subarray((n - 1 - i) * n, (n - i) * n), i * n);
  return { values: values.reverse(), vectors: reversed };
}

async function truncatedSvd(gemms: Gemms, a: Matrix, rank: number, options: SvdOptions): Promise<TruncatedSvd> {
  checkFinite(a);
  const n = Math.min(a.rows, a.cols);
  if (!Number.isInteger(rank) || rank < 1 || rank > n) {
    throw new LowrankError('INTERNAL', `rank ${rank} of a ${a.rows} × ${a.cols} matrix`);
  }
  const oversampled = rank + Math.ceil(0.15 * rank) + 8;
  if (n <= directSide || oversampled >= 0.7 * n) return direct(gemms, a, rank, options);
  return filtered(gemms, a, rank, oversampled, options);
}

/** Basis rows (k × n) of the smaller side's leading singular vectors to the triplets. */
async function fromBasis(gemms: Gemms, a: Matrix, basis: Matrix): Promise<TruncatedSvd> {
  const isWide = a.cols >= a.rows;
  const rank = basis.rows;
  // The other side is A projected; its norms are the singular values.
  const other = isWide
    ? await gemms.multiply(basis, a, {}) // k × cols
    : await gemms.multiply(basis, a, { transposeB: true }); // k × rows
  const singularValues = new Float64Array(rank);
  for (let k = 0; k < rank; k++) {
    const row = other.data.subarray(k * other.cols, (k + 1) * other.cols);
    let sum = 0;
    for (let i = 0; i < row.length; i++) sum += row[i]! * row[i]!;
    const sigma = Math.sqrt(sum);
    singularValues[k] = sigma;
    if (sigma > 0) for (let i = 0; i < row.length; i++) row[i] = row[i]! / sigma;
  }
  return isWide
    ? { left: transposed(basis), singularValues, right: other }
    : { left: transposed(other), singularValues, right: basis };
}

async function direct(gemms: Gemms, a: Matrix, rank: number, options: SvdOptions): Promise<TruncatedSvd> {
  const n = Math.min(a.rows, a.cols);
  const { vectors } = await gramEigen(gemms, a, options.signal);
  return fromBasis(gemms, a, { rows: rank, cols: n, data: Float32Array.from(vectors.subarray(0, rank * n)) });
}

/** Chebyshev-filtered subspace iteration on the Gram matrix, one Rayleigh–Ritz to find the cut, one at the end. */
async function filtered(gemms: Gemms, a: Matrix, rank: number, p: number, options: SvdOptions): Promise<TruncatedSvd> {
  const { signal } = options;
  const n = Math.min(a.rows, a.cols);
  const gram = await gemms.multiply(a, a, a.rows <= a.cols ? { transposeB: true } : { transposeA: true });
  let y: Matrix = { rows: n, cols: p, data: new Float32Array(n * p) };
  fillTruncatedNormal(randomStream(options.seed ?? 0, 'svd'), y.data, 0, 1);
  y = await orthonormal(gemms, await gemms.multiply(gram, y, {}), signal);
  let ritz = await rayleighRitz(gemms, gram, y, signal);
  for (let outer = 0; outer < 2; outer++) {
    throwIfAborted(signal);
    const cut = Math.max(ritz.values[p - 1]!, ritz.values[0]! * 1e-7);
    const upper = 1.02 * ritz.values[0]!;
    y = await orthonormal(gemms, await chebyshev(gemms, gram, y, outer === 0 ? 6 : 10, cut, upper), signal);
    ritz = await rayleighRitz(gemms, gram, y, signal);
  }
  // Rows of ritz.vectors are in the basis of y's columns.
  const top: Matrix = { rows: rank, cols: p, data: Float32Array.from(ritz.vectors.subarray(0, rank * p)) };
  const basis = await gemms.multiply(top, y, { transposeB: true });
  return fromBasis(gemms, a, basis);
}

async function chebyshev(
  gemms: Gemms,
  gram: Matrix,
  start: Matrix,
  degree: number,
  cut: number,
  upper: number,
): Promise<Matrix> {
  const centre = cut / 2;
  const sigma1 = centre / (upper - centre);
  let sigma = sigma1;
  let previous = start;
  let current = await gemms.multiply(gram, start, {});
  for (let i = 0; i < current.data.length; i++)
    current.data[i] = ((current.data[i]! - centre * start.data[i]!) * sigma1) / centre;
  for (let j = 2; j <= degree; j++) {
    const next = 1 / (2 / sigma1 - sigma);
    const product = await gemms.multiply(gram, current, {});
    const a = (2 * next) / centre;
    const b = sigma * next;
    for (let i = 0; i < product.data.length; i++) {
      product.data[i] = a * (product.data[i]! - centre * current.data[i]!) - b * previous.data[i]!;
    }
    previous = current;
    current = product;
    sigma = next;
  }
  return current;
}

async function rayleighRitz(
  gemms: Gemms,
  gram: Matrix,
  y: Matrix,
  signal?: AbortSignal,
): Promise<{ values: Float64Array; vectors: Float64Array }> {
  throwIfAborted(signal);
  const p = y.cols;
  const h = await gemms.multiply(y, await gemms.multiply(gram, y, {}), { transposeA: true });
  const { values, vectors } = symmetricEigen(symmetrized(h.data, p), p);
  const reversed = new Float64Array(p * p);
  for (let i = 0; i < p; i++) reversed.set(vectors.subarray((p - 1 - i) * p, (p - i) * p), i * p);
  return { values: values.reverse(), vectors: reversed };
}

function symmetrized(data: Float32Array, n: number): Float64Array {
  const result = new Float64Array(n * n);
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) result[i * n + j] = (data[i * n + j]! + data[j * n + i]!) / 2;
  return result;
}

/** An orthonormal basis of the columns of y, by Cholesky of the Gram matrix twice, shifted where it is singular. */
async function orthonormal(gemms: Gemms, y: Matrix, signal?: AbortSignal): Promise<Matrix> {
  let q = y;
  for (let pass = 0; pass < 3; pass++) {
    throwIfAborted(signal);
    const gram = await gemms.multiply(q, q, { transposeA: true });
    const inverse = inverseCholesky(symmetrized(gram.data, q.cols), q.cols);
    q = await gemms.multiply(q, { rows: q.cols, cols: q.cols, data: Float32Array.from(inverse) }, { transposeB: true });
  }
  return q;
}

/** L⁻¹ of S = L Lᵀ (row-major, lower), S shifted until it is positive definite. */
function inverseCholesky(s: Float64Array, n: number): Float64Array {
  let trace = 0;
  for (let i = 0; i < n; i++) trace += s[i * n + i]!;
  for (let shift = 0; ; shift = shift === 0 ? 1e-7 * (trace / n) : shift * 100) {
    const l = new Float64Array(n * n);
    let isDefinite = true;
    for (let i = 0; i < n && isDefinite; i++) {
      for (let j = 0; j <= i; j++) {
        let sum = s[i * n + j]! + (i === j ? shift : 0);
        for (let k = 0; k < j; k++) sum -= l[i * n + k]! * l[j * n + k]!;
        if (i === j) {
          if (sum <= 1e-12 * (s[i * n + i]! + shift)) {
            isDefinite = false;
            break;
          }
          l[i * n + i] = Math.sqrt(sum);
        } else l[i * n + j] = sum / l[j * n + j]!;
      }
    }
    if (!isDefinite) continue;
    const inverse = new Float64Array(n * n);
    for (let i = 0; i < n; i++) {
      const row = i * n;
      for (let k = 0; k < i; k++) {
        const factor = l[row + k]!;
        for (let j = 0; j <= k; j++) inverse[row + j] = inverse[row + j]! - factor * inverse[k * n + j]!;
      }
      const diagonal = l[row + i]!;
      for (let j = 0; j < i; j++) inverse[row + j] = inverse[row + j]! / diagonal;
      inverse[row + i] = 1 / diagonal;
    }
    return inverse;
  }
}

function transposed(m: Matrix): Matrix {
  const data = new Float32Array(m.data.length);
  for (let i = 0; i < m.rows; i++) for (let j = 0; j < m.cols; j++) data[j * m.rows + i] = m.data[i * m.cols + j]!;
  return { rows: m.cols, cols: m.rows, data };
}
