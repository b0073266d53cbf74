import type { Linalg, Matrix, Matrix64 } from '../../../linalg/types.js';
import type { InitProblem } from '../../types.js';
import type { FactorPair } from '../../../rewrite/types.js';
import { leadingProjection } from './subspace.js';

/** What the fit depends on. */
export type ReducedRankProblem = Pick<
  InitProblem,
  'weight' | 'rowsPerNeuron' | 'rank' | 'linalg' | 'seed' | 'signal' | 'activation'
>;

/**
 * Reduced-rank regression: the pair Ŵ = left · right that minimizes Σᵢ E⟨wᵢ − ŵᵢ, x⟩² = tr((W − Ŵ) M (W − Ŵ)ᵀ), where row i of
 * W holds all that neuron i multiplies its patch x with, and M = E[xxᵀ] is positive definite.
 *
 * One row per neuron: with M = SSᵀ this is the truncated SVD of WS. Its left singular vectors U are the eigenvectors of
 * WMWᵀ, and [WS]ᵣ = UUᵀWS, so that Ŵ = U·(UᵀW): neither a root of M nor its inverse is needed (Izenman, "Reduced-rank
 * regression for the multivariate linear model", 1975).
 *
 * Several (the spatial scheme: row y of the kernel sees its own part x_y of the patch, and all share `right`): no closed form
 * exists, because E[x_y x_y′ᵀ] couples the rows. See `alternate`.
 */
export async function reducedRank(problem: ReducedRankProblem, second: Matrix64): Promise<FactorPair> {
  const { weight, rowsPerNeuron, rank, linalg, signal } = problem;
  // Nothing is lost at full rank.
  if (rank === Math.min(weight.rows, weight.cols))
    return projectedPair(problem, (await leadingProjection(problem)).basis);
  if (rowsPerNeuron > 1) return alternate(problem, second);
  const gram = await gramOf(linalg, weight, second, signal);
  const vectors = await leadingVectors(linalg, gram, rank, signal);
  const right = await linalg.gemm64(vectors, weight, { signal });
  return balance({ rows: weight.rows, cols: rank, data: transposed64(vectors) }, right);
}

/** Times the right factor is improved and the left one fitted to it anew, by the multiply-accumulates of one W·M: large layers gain little by more. */
const roundsOf = (macs: number): number => (macs < 5e8 ? 4 : macs < 3e9 ? 2 : 1);
/** From here on the truncated SVD is no start any more. */
const largeProduct = 5e8;
const conjugateSteps = 4;

/**
 * Minimizes over both factors in turns, from the better of two starts: the right factor of the truncated SVD of W, and that
 * of the problem without what couples the rows, M̄ = mean over y of E[x_y x_yᵀ], which has the closed form above. For a given
 * right factor the left one is a linear regression, solved exactly; for a given left factor the right one is a quadratic
 * problem in as many unknowns as it has numbers, on which a few steps of conjugate gradients go down. The loss never rises:
 * the result is never worse than the truncated SVD (where that was a start: not of large layers), and a stationary point as far as the steps go.
 */
async function alternate(problem: ReducedRankProblem, second: Matrix64): Promise<FactorPair> {
  const { weight, rowsPerNeuron, rank, linalg, signal } = problem;
  const neurons = weight.rows / rowsPerNeuron;
  const joint = { rows: neurons, cols: rowsPerNeuron * weight.cols, data: weight.data };
  const product = await linalg.gemm64(joint, second, { signal });
  const mean = meanBlock(second, rowsPerNeuron);
  const context: Alternation = { ...problem, joint, product, second, mean, neurons };

  const uncoupled = await leadingVectors(linalg, await gramOf(linalg, weight, mean, signal), rank, signal);
  const macs = neurons * second.rows * second.cols;
  const starts = [await linalg.gemm64(uncoupled, weight, { signal })];
  if (macs < largeProduct) starts.push(toMatrix64((await leadingProjection(problem)).basis));
  let best: Turn | undefined;
  for (const right of starts) {
    const turn = await regressLeft(context, right);
    if (turn !== undefined && (best === undefined || turn.gain > best.gain)) best = turn;
  }
  if (best === undefined) return projectedPair(problem, (await leadingProjection(problem)).basis);
  const inverse = await inverseOf(linalg, { ...mean, data: mean.data.slice() }, signal);
  for (let round = 0; inverse !== undefined && round < roundsOf(macs); round++) {
    const right = await improveRight(context, best, inverse);
    const turn = await regressLeft(context, right);
    if (turn === undefined || turn.gain <= best.gain * (1 + 1e-5)) {
      if (turn !== undefined && turn.gain > best.gain) best = turn;
      break;
    }
    best = turn;
  }
  return balance({ rows: weight.rows, cols: rank, data: best.left.data }, best.right);
}

interface Alternation extends ReducedRankProblem {
  /** W with one row per neuron. */
  readonly joint: Matrix;
  /** W·M */
  readonly product: Matrix64;
  readonly second: Matrix64;
  readonly mean: Matrix64;
  readonly neurons: number;
}

/** Both factors, and tr(WMWᵀ) less the loss. */
interface Turn {
  /** neurons × rowsPerNeuron·rank: the memory of rows × rank. */
  readonly left: Matrix64;
  readonly right: Matrix64;
  readonly gain: number;
}

/** The best left factor: the regression of Wx on the numbers z_y = right·x_y. undefined where they are dependent. */
async function regressLeft(context: Alternation, right: Matrix64): Promise<Turn | undefined> {
  const { product, second, rowsPerNeuron: parts, linalg, signal } = context;
  const [rank, width] = [right.rows, right.cols];
  const size = parts * rank;
  const gram = { rows: size, cols: size, data: new Float64Array(size * size) };
  const cross = { rows: product.rows, cols: size, data: new Float64Array(product.rows * size) };
  for (let y = 0; y < parts; y++) {
    const strip = {
      rows: width,
      cols: second.cols,
      data: second.data.subarray(y * width * second.cols, (y + 1) * width * second.cols),
    };
    const seen = await linalg.gemm64(right, strip, { signal });
    for (let other = 0; other < parts; other++) {
      const block = await linalg.gemm64(columns(seen, other * width, width), right, { transposeB: true, signal });
      place(block, gram, y * rank, other * rank);
    }
    const part = await linalg.gemm64(columns(product, y * width, width), right, { transposeB: true, signal });
    place(part, cross, 0, y * rank);
  }
  const inverse = await inverseOf(linalg, gram, signal);
  if (inverse === undefined) return undefined;
  const left = await linalg.gemm64(cross, inverse, { signal });
  let gain = 0;
  for (let i = 0; i < left.data.length; i++) gain += left.data[i]! * cross.data[i]!;
  return { left, right, gain };
}

/** Steps of conjugate gradients on the right factor, preconditioned as if the rows were not coupled. */
async function improveRight(context: Alternation, { left, right }: Turn, inverse: Matrix64): Promise<Matrix64> {
  const { product, rowsPerNeuron: parts, neurons, linalg, signal } = context;
  const [rank, width] = [right.rows, right.cols];
  const tall = { rows: neurons * parts, cols: rank, data: left.data };
  const small = await inverseOf(linalg, await linalg.gemm64(tall, tall, { transposeA: true, signal }), signal);
  if (small === undefined) return right;
  /** Σ_y L_yᵀ (·)_y */
  const fold = async (joint: Matrix64): Promise<Matrix64> =>
    linalg.gemm64(tall, { rows: neurons * parts, cols: width, data: joint.data }, { transposeA: true, signal });
  const apply = async (direction: Matrix64): Promise<Matrix64> => {
    const rows = await linalg.gemm64(tall, direction, { signal });
    return fold(
      await linalg.gemm64({ rows: neurons, cols: parts * width, data: rows.data }, context.second, { signal }),
    );
  };
  const precondition = async (a: Matrix64): Promise<Matrix64> =>
    linalg.gemm64(await linalg.gemm64(small, a, { signal }), inverse, { signal });

  const residual = minus(await fold(product), await apply(right));
  const x = right.data.slice();
  let z = await precondition(residual);
  let direction = { ...z, data: z.data.slice() };
  let strength = dot64(residual.data, z.data);
  for (let step = 0; step < conjugateSteps && strength > 0; step++) {
    const image = await apply(direction);
    const curvature = dot64(direction.data, image.data);
    if (!(curvature > 0)) break;
    const length = strength / curvature;
    for (let i = 0; i < x.length; i++) {
      x[i] = x[i]! + length * direction.data[i]!;
      residual.data[i] = residual.data[i]! - length * image.data[i]!;
    }
    z = await precondition(residual);
    const next = dot64(residual.data, z.data);
    const keep = next / strength;
    direction = { ...z, data: z.data.map((value, i) => value + keep * direction.data[i]!) };
    strength = next;
  }
  return { rows: rank, cols: width, data: x };
}

/** W M Wᵀ. */
export async function gramOf(
  linalg: Linalg,
  weight: Matrix,
  second: Matrix64,
  signal?: AbortSignal,
): Promise<Matrix64> {
  const product = await linalg.gemm64(weight, second, { signal });
  return linalg.gemm64(product, weight, { transposeB: true, signal });
}

/** Orders from which float32 does: the eigenvalues of a large Gram matrix take float64 too long. */
const largeOrder = 1280;

/** Orthonormal rows: the leading eigenvectors of a Gram matrix, whose memory is given up. */
export async function leadingVectors(
  linalg: Linalg,
  gram: Matrix64,
  count: number,
  signal?: AbortSignal,
): Promise<Matrix64> {
  if (gram.rows <= largeOrder) return (await linalg.symmetricEigen(gram, count, { signal })).vectors;
  const { right } = await linalg.truncatedSvd({ ...gram, data: Float32Array.from(gram.data) }, count, { signal });
  return toMatrix64(right);
}

/** A⁻¹ of a positive definite matrix, which is given up; a trace of I is added where rounding has made it singular. */
export async function inverseOf(linalg: Linalg, a: Matrix64, signal?: AbortSignal): Promise<Matrix64 | undefined> {
  const n = a.rows;
  let trace = 0;
  for (let i = 0; i < n; i++) trace += a.data[i * (n + 1)]!;
  if (!(trace > 0)) return undefined;
  for (const share of [0, 1e-12, 1e-9, 1e-6]) {
    const data = a.data.slice();
    for (let i = 0; i < n; i++) data[i * (n + 1)] = data[i * (n + 1)]! + (share * trace) / n;
    const root = await linalg.inverseRoot({ rows: n, cols: n, data }, { signal });
    if (root !== undefined) return linalg.gemm64(root, root, { transposeA: true, signal });
  }
  return undefined;
}

/** W projected on orthonormal rows. */
async function projectedPair({ weight, linalg, signal }: ReducedRankProblem, basis: Matrix): Promise<FactorPair> {
  return balance(await linalg.gemm64(weight, basis, { transposeB: true, signal }), toMatrix64(basis));
}

/** The same product with ‖column k of left‖ = ‖row k of right‖, in float32. */
function balance(left: Matrix64, right: Matrix64): FactorPair {
  const rank = left.cols;
  const energies = new Float64Array(rank);
  for (let at = 0; at < left.data.length; at++) energies[at % rank] = energies[at % rank]! + left.data[at]! ** 2;
  const scales = energies.map((energy, k) => {
    let other = 0;
    for (let at = k * right.cols; at < (k + 1) * right.cols; at++) other += right.data[at]! ** 2;
    return energy > 0 && other > 0 ? Math.sqrt(Math.sqrt(other / energy)) : 1;
  });
  return {
    left: { ...left, data: Float32Array.from(left.data, (value, at) => value * scales[at % rank]!) },
    right: {
      ...right,
      data: Float32Array.from(right.data, (value, at) => value / scales[Math.floor(at / right.cols)]!),
    },
  };
}

/** The mean of the `parts` blocks on the diagonal. */
export function meanBlock(second: Matrix64, parts: number): Matrix64 {
  if (parts === 1) return second;
  const { cols, data } = second;
  const width = cols / parts;
  const result = new Float64Array(width * width);
  for (let y = 0; y < parts; y++) {
    for (let i = 0; i < width; i++) {
      const from = (y * width + i) * cols + y * width;
      for (let j = 0; j < width; j++) result[i * width + j] = result[i * width + j]! + data[from + j]! / parts;
    }
  }
  return { rows: width, cols: width, data: result };
}

function columns({ rows, cols, data }: Matrix64, from: number, width: number): Matrix64 {
  const result = new Float64Array(rows * width);
  for (let row = 0; row < rows; row++) {
    result.set(data.subarray(row * cols + from, row * cols + from + width), row * width);
  }
  return { rows, cols: width, data: result };
}

function place(block: Matrix64, target: Matrix64, row: number, col: number): void {
  for (let i = 0; i < block.rows; i++) {
    target.data.set(block.data.subarray(i * block.cols, (i + 1) * block.cols), (row + i) * target.cols + col);
  }
}

function toMatrix64({ rows, cols, data }: Matrix): Matrix64 {
  return { rows, cols, data: Float64Array.from(data) };
}

function transposed64({ rows, cols, data }: Matrix64): Float64Array {
  const result = new Float64Array(data.length);
  for (let i = 0, at = 0; i < rows; i++) for (let j = 0; j < cols; j++, at++) result[j * rows + i] = data[at]!;
  return result;
}

function minus(a: Matrix64, b: Matrix64): Matrix64 {
  return { ...a, data: a.data.map((value, i) => value - b.data[i]!) };
}

function dot64(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
