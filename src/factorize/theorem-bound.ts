import { createKernel } from './activations/index.js';
import { angleOf, lens } from './activations/kernel.js';
import { type ErrorProblem, forEachNeuron } from './function-error.js';
import type { FactorPair } from '../rewrite/types.js';

/** What Theorem 3.5 says about a layer, sums over its neurons, x ~ N(0, I). */
export interface TheoremBound {
  /**
   * ½ Σ cᵢ²(κ(ρᵢ) − ρᵢ)²: the least that R(truncated SVD) lies above the optimum. null where the activation is not ReLU,
   * which the theorem is about.
   */
  readonly bound: number | null;
  /** E‖σ(Wx)‖². */
  readonly scale: number;
}

/**
 * The lower bound of arXiv 2202.00834, Theorem 3.5, without its normaliser 1/d. cᵢ = |wᵢ|, and ρᵢ is the cosine of neuron i
 * with its row in `truncated`, the truncated SVD of W. By an exact identity it is what the best norms alone gain over the
 * truncated SVD, R(Y) − R(the same directions at the norms cᵢκ(ρᵢ)); the optimum over all pairs is at most the latter.
 * κ(ρ) − ρ = (sin θ − θ cos θ)/π with ρ = cos θ, which loses no digits where a neuron is nearly kept.
 */
export async function theoremBound(problem: ErrorProblem, truncated: FactorPair): Promise<TheoremBound> {
  const kernel = createKernel(problem.activation);
  const isRelu = problem.activation.kind === 'Relu';
  let bound = 0;
  let scale = 0;
  await forEachNeuron(problem, truncated, ({ alpha, student }) => {
    scale += kernel.teacher(alpha).secondMoment;
    if (isRelu) bound += rescalingGain(alpha, student.chordSquared);
  });
  return { bound: isRelu ? bound : null, scale };
}

/** ½c²(κ(ρ) − ρ)² of a neuron with |w| = norm, chordSquared = 2(1 − ρ). */
export function rescalingGain(norm: number, chordSquared: number): number {
  const { theta, sin, cos } = angleOf({ beta: norm, difference: 0, chordSquared });
  return 0.5 * ((norm * lens(theta, sin, cos)) / Math.PI) ** 2;
}
