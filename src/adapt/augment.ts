import type { Linalg, Matrix, Matrix64 } from '../linalg/types.js';
import { transposed } from '../linalg/transpose.js';
import { diagonalOf, type LayerFactors, resized } from './factors.js';
import { newDirections, orthonormalRows } from './orthonormal.js';

/** ∂loss/∂U, rows × a, and ∂loss/∂Vᵀ, b × cols. */
export interface BasisGradients {
  readonly left: Matrix;
  readonly right: Matrix;
}

/** New basis vectors of a layer, as rows. */
interface Directions {
  readonly left: Matrix64;
  readonly right: Matrix64;
}

async function directionsOf(linalg: Linalg, factors: LayerFactors, gradients: BasisGradients): Promise<Directions> {
  return {
    left: await newDirections(linalg, transposed(factors.left), transposed(gradients.left)),
    right: await newDirections(linalg, factors.right, gradients.right),
  };
}

/** The layer with further basis vectors, for which S has zeros: W stays as it is, bit for bit. */
function extended(factors: LayerFactors, { left, right }: Directions): LayerFactors {
  const [rows, cols] = [factors.core.rows + left.rows, factors.core.cols + right.rows];
  const { left: u, right: v } = factors;
  const wide = resized(u, u.rows, rows);
  for (let i = 0; i < u.rows; i++) {
    for (let k = 0; k < left.rows; k++) wide.data[i * rows + u.cols + k] = left.data[k * left.cols + i]!;
  }
  const tall = resized(v, cols, v.cols);
  tall.data.set(right.data, v.data.length);
  return {
    left: wide,
    right: tall,
    core: resized(factors.core, rows, cols),
    buffers: factors.buffers.map((buffer) => resized(buffer, rows, cols)),
    average: factors.average && resized(factors.average, rows, cols),
  };
}

/**
 * Û = [U | orth(∂U)], V̂ = [V | orth(∂V)]: the bases take in the directions in which the loss falls, W stays (Schotthöfer et al., arXiv
 * 2505.08022, equation 6). While S is regular, the span is that of [U | ∂K], K = U S.
 */
export async function augment(linalg: Linalg, factors: LayerFactors, gradients: BasisGradients): Promise<LayerFactors> {
  return extended(factors, await directionsOf(linalg, factors, gradients));
}

/** Of S's largest entry, below which one tells nothing of ∂K = ∂U S⁻ᵀ. */
const leastPivot = 1e-7;

/** ∂K = ∂U S⁻ᵀ, rows × r, and ∂Lᵀ = S⁻¹ ∂Vᵀ, r × cols, of a diagonal S; zeros where S has next to none. */
function gradientsOfProducts({ core }: LayerFactors, { left, right }: BasisGradients): BasisGradients {
  const values = diagonalOf(core);
  const least = leastPivot * Math.max(...values.map(Math.abs), 0);
  const inverse = values.map((value) => (Math.abs(value) > least ? 1 / value : 0));
  return {
    left: { ...left, data: left.data.map((value, at) => value * inverse[at % left.cols]!) },
    right: { ...right, data: right.data.map((value, at) => value * inverse[Math.floor(at / right.cols)]!) },
  };
}

/**
 * The parallel integrator's step (arXiv 2304.05660; GeoLoRA, arXiv 2410.18720) around coefficients that one gradient has moved: bases
 * augmented, and beside S what plain descent gives there, [[S, −λ ∂Lᵀ Ṽ], [−λ Ũᵀ ∂K, 0]]. `before` is diagonal; the gradients are
 * of that point.
 */
export async function parallelStep(
  linalg: Linalg,
  before: LayerFactors,
  stepped: LayerFactors,
  gradients: BasisGradients,
  rate: number,
): Promise<LayerFactors> {
  const products = gradientsOfProducts(before, gradients);
  const directions = await directionsOf(linalg, before, products);
  const next = extended({ ...stepped, left: before.left, right: before.right }, directions);
  const { rows: a, cols: b } = before.core;
  const { data, cols } = next.core;
  const beside = await linalg.gemm64(products.right, directions.right, { transposeB: true });
  for (let i = 0; i < a; i++) {
    for (let k = 0; k < beside.cols; k++) data[i * cols + b + k] = -rate * beside.data[i * beside.cols + k]!;
  }
  const below = await linalg.gemm64(directions.left, products.left);
  for (let k = 0; k < below.rows; k++) {
    for (let j = 0; j < b; j++) data[(a + k) * cols + j] = -rate * below.data[k * below.cols + j]!;
  }
  return next;
}

/**
 * The K and L steps of a fixed rank: U′ = orth(U S − λ ∂K), V′ = orth(V Sᵀ − λ ∂L), and S as it is seen from there,
 * (U′ᵀU) S (VᵀV′), with all that the optimizer keeps of it. W changes: it is projected.
 */
export async function turnBases(
  linalg: Linalg,
  factors: LayerFactors,
  gradients: BasisGradients,
  rate: number,
  rotate: (buffer: Matrix, at: number, left: Matrix64, right: Matrix64) => Promise<Matrix>,
): Promise<LayerFactors> {
  const products = gradientsOfProducts(factors, gradients);
  const values = diagonalOf(factors.core);
  const { left: u, right: v } = factors;
  const scaled = (value: number, index: number): number => (values[index] === 0 ? value : value * values[index]!);
  const k = { ...u, data: u.data.map((own, at) => scaled(own, at % u.cols) - rate * products.left.data[at]!) };
  const l = {
    ...v,
    data: v.data.map((own, at) => scaled(own, Math.floor(at / v.cols)) - rate * products.right.data[at]!),
  };
  const left = await orthonormalRows(linalg, transposed(k));
  const right = await orthonormalRows(linalg, l);
  // M = U′ᵀ U, N = Vᵀ V′.
  const m = await linalg.gemm64(left, u);
  const n = await linalg.gemm64(v, right, { transposeB: true });
  const linear = (matrix: Matrix): Promise<Matrix> => moved(linalg, matrix, m, n);
  return {
    left: transposed({ ...left, data: Float32Array.from(left.data) }),
    right: { ...right, data: Float32Array.from(right.data) },
    core: await linear(factors.core),
    buffers: await Promise.all(factors.buffers.map((buffer, at) => rotate(buffer, at, m, n))),
    average: factors.average && (await linear(factors.average)),
  };
}

/** M X N, in float64 but for the result. */
export async function moved(linalg: Linalg, x: Matrix, m: Matrix64, n: Matrix64): Promise<Matrix> {
  const { rows, cols, data } = await linalg.gemm64(await linalg.gemm64(m, x), n);
  return { rows, cols, data: Float32Array.from(data) };
}
