import { createKernel } from '../activations/index.js';
import { functionRisk } from '../function-error.js';
import type { FactorPair, Init, InitProblem } from '../types.js';
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
  fit: async (problem) => (await fitScaled(problem)).pair,
};

/** What `lfai` starts from. */
export interface ScaledFit {
  /** The better of plain and scaled. */
  readonly pair: FactorPair;
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
  const profile = createProfile(createKernel(problem.activation), groupEnergies(weight, rowsPerNeuron));
  const energies = projectedEnergies(projection.coordinates, rowsPerNeuron, profile.norms);
  const losses = profile.evaluate(energies);
  const plain = splitEvenly(projection);
  const hasOrthogonal = energies.some((energy, i) => energy === 0 && profile.norms[i]! > 0);
  if (problem.activation.kind === 'linear') return { pair: plain, projection, profile, losses, hasOrthogonal };
  const coordinates = withNorms(projection.coordinates, rowsPerNeuron, energies, losses.norms, seed);
  const scaled = splitEvenly({ coordinates, basis: projection.basis });
  return { pair: await better(problem, scaled, plain), projection, profile, losses, hasOrthogonal };
}

/** `candidate` where its loss is smaller, else `fallback`. */
export async function better(problem: InitProblem, candidate: FactorPair, fallback: FactorPair): Promise<FactorPair> {
  const [first, second] = [await functionRisk(problem, candidate), await functionRisk(problem, fallback)];
  return first.risk < second.risk ? candidate : fallback;
}
