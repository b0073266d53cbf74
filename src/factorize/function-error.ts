import { createKernel } from './activations/index.js';
import type { Student } from './activations/kernel.js';
import { product } from './inits/support/product.js';
import type { InitProblem } from './types.js';
import type { FactorPair } from '../rewrite/types.js';

/** What a layer is and how its products are computed: the part of an InitProblem that the error depends on. */
export type ErrorProblem = Pick<InitProblem, 'weight' | 'rowsPerNeuron' | 'activation' | 'linalg'>;

/** Sums over the neurons of a layer, x ~ N(0, I). */
export interface FunctionRisk {
  /** E‖σ(Ŵx) − σ(Wx)‖². */
  readonly risk: number;
  /** E‖σ(Wx)‖². */
  readonly scale: number;
  /** ‖Ŵ − W‖_F². */
  readonly difference: number;
  /** ‖W‖_F². */
  readonly norm: number;
}

/** Relative errors of a pair; 0 where it is exact, Infinity where it approximates nothing. */
export interface PairErrors {
  /** sqrt(E‖σ(Ŵx) − σ(Wx)‖² / E‖σ(Wx)‖²). */
  readonly functionError: number;
  /** ‖Ŵ − W‖_F / ‖W‖_F. */
  readonly weightError: number;
}

/** Elements of the product that are in memory at a time. */
const largestBlock = 8e6;

/** The errors of a layer from the sums over its neurons, of each group of channels. */
export function errorsOf(risks: readonly FunctionRisk[]): PairErrors {
  const sum = (part: keyof FunctionRisk): number => risks.reduce((total, risk) => total + risk[part], 0);
  return {
    functionError: relativeRoot(sum('risk'), sum('scale')),
    weightError: relativeRoot(sum('difference'), sum('norm')),
  };
}

function relativeRoot(error: number, scale: number): number {
  if (scale === 0) return error === 0 ? 0 : Infinity;
  return Math.sqrt(error / scale);
}

/**
 * The sums that `errorsOf` divides, of Ŵ = left · right, that of the function for x ~ N(0, I) and by closed forms: nothing is sampled.
 * The product is formed in float32, all else in float64.
 */
export async function functionRisk(problem: ErrorProblem, pair: FactorPair): Promise<FunctionRisk> {
  const kernel = createKernel(problem.activation);
  const total = { risk: 0, scale: 0, difference: 0, norm: 0 };
  await forEachNeuron(problem, pair, ({ alpha, distanceSquared, student }) => {
    const teacher = kernel.teacher(alpha);
    total.risk += teacher.risk(student).value;
    total.scale += teacher.secondMoment;
    total.difference += distanceSquared;
    total.norm += alpha * alpha;
  });
  return total;
}

/** Compares the rows of every neuron in W with those in left · right, in their order. */
export async function forEachNeuron(
  problem: Pick<ErrorProblem, 'weight' | 'rowsPerNeuron' | 'linalg'>,
  { left, right }: FactorPair,
  visit: (comparison: Comparison) => void,
): Promise<void> {
  const { weight, rowsPerNeuron, linalg } = problem;
  const neurons = weight.rows / rowsPerNeuron;
  const size = rowsPerNeuron * weight.cols;
  const blockNeurons = Math.max(1, Math.floor(largestBlock / size));
  for (let neuron = 0; neuron < neurons; neuron += blockNeurons) {
    const rows = Math.min(blockNeurons, neurons - neuron) * rowsPerNeuron;
    const first = neuron * rowsPerNeuron;
    const data = left.data.subarray(first * left.cols, (first + rows) * left.cols);
    const memory = linalg.scratch.take32(rows, weight.cols);
    const approximation = await product(linalg, { rows, cols: left.cols, data }, right, { into: memory.data });
    const original = weight.data.subarray(first * weight.cols, (first + rows) * weight.cols);
    for (let start = 0; start < original.length; start += size) {
      visit(compare(original, approximation.data, start, size));
    }
    linalg.scratch.give(memory);
  }
}

/** A neuron w and its approximation v. */
export interface Comparison {
  /** |w|. */
  readonly alpha: number;
  /** |v − w|². */
  readonly distanceSquared: number;
  readonly student: Student;
}

/** Norms and angle of two vectors from their difference: exact digits where they are nearly equal. */
export function compare(w: ArrayLike<number>, v: ArrayLike<number>, start: number, size: number): Comparison {
  let ww = 0;
  let vv = 0;
  let dd = 0;
  let radial = 0;
  for (let i = start; i < start + size; i++) {
    const a = w[i]!;
    const b = v[i]!;
    const d = b - a;
    ww += a * a;
    vv += b * b;
    dd += d * d;
    radial += d * (a + b);
  }
  const alpha = Math.sqrt(ww);
  const beta = Math.sqrt(vv);
  if (alpha === 0 || beta === 0)
    return { alpha, distanceSquared: dd, student: { beta, difference: beta - alpha, chordSquared: 2 } };
  // β² − α² = ⟨v − w, v + w⟩; |v − w|² = (β − α)² + αβ·chord².
  const difference = radial / (alpha + beta);
  const chordSquared = Math.min(4, Math.max(0, (dd - difference * difference) / (alpha * beta)));
  return { alpha, distanceSquared: dd, student: { beta, difference, chordSquared } };
}
