import { createKernel } from '../activations/index.js';
import { functionRisk } from '../function-error.js';
import type { Init, InitProblem } from '../types.js';
import type { FactorPair } from '../../rewrite/types.js';
import { groupEnergies } from './support/matrix.js';
import { createProfile, type Losses, type Profile } from './support/profile.js';
import { leadingProjection, projectedEnergies, type Projection, splitEvenly, withNorms } from './support/subspace.js';

/**
 * Truncated SVD, then every neuron at the norm that loses least: for ReLU the factor κ(ρ)/ρ (arXiv 2202.00834,
 * Theorem 3.3). BatchNormalization behind the layer cancels it.
 */
export const spectralScaled: Init = {
  name: 'spectral-scaled',
  summary: "truncated SVD with every neuron's norm at its optimum",
  fit: async (problem) => (await fitScaled(problem)).best.pair,
};

/** A pair and what it loses: E‖σ(Ŵx) − σ(Wx)‖². */
export interface Judged {
  readonly pair: FactorPair;
  readonly risk: number;
}

export async function judge(problem: InitProblem, pair: FactorPair): Promise<Judged> {
  const { risk } = await functionRisk(problem, pair);
  return { pair, risk };
}

/** `candidate` where it loses less, else `fallback`. */
export function better(candidate: Judged, fallback: Judged): Judged {
  return candidate.risk < fallback.risk ? candidate : fallback;
}

/** A rescaled truncated SVD, and how it came about: what `lfai` starts from. */
export interface ScaledFit {
  /** The better of plain and scaled. */
  readonly best: Judged;
  readonly projection: Projection;
  readonly profile: Profile;
  readonly losses: Losses;
  /** Whether a neuron is orthogonal to the subspace. */
  readonly hasOrthogonal: boolean;
}

/** The rescaled truncated SVD; the plain one where rounding makes the rescaled one worse. */
export async function fitScaled(problem: InitProblem): Promise<ScaledFit> {
  const { weight, rowsPerNeuron, seed } = problem;
  const projection = await leadingProjection(problem);
  const profile = createProfile(createKernel(problem.activation, 'coarse'), groupEnergies(weight, rowsPerNeuron));
  const energies = projectedEnergies(projection.coordinates, rowsPerNeuron, profile.norms);
  const losses = profile.evaluate(energies);
  const plain = splitEvenly(projection);
  const hasOrthogonal = energies.some((energy, i) => energy === 0 && profile.norms[i]! > 0);
  const unscaled = await judge(problem, plain);
  if (problem.activation.kind === 'linear') return { best: unscaled, projection, profile, losses, hasOrthogonal };
  const coordinates = withNorms(projection.coordinates, rowsPerNeuron, energies, losses.norms, seed);
  const scaled = splitEvenly({ coordinates, basis: projection.basis });
  return { best: better(await judge(problem, scaled), unscaled), projection, profile, losses, hasOrthogonal };
}
