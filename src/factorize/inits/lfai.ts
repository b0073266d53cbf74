import type { FactorPair, Init, InitProblem } from '../types.js';
import { better, fitScaled } from './spectral-scaled.js';
import { groupEnergies } from './support/matrix.js';
import { minimizeSubspace } from './support/minimize.js';
import { splitEvenly, withNorms } from './support/subspace.js';

/**
 * Low-rank function approximation at initialization (arXiv 2202.00834, Definition 2.3): the pair that minimizes
 * E‖σ(Ŵx) − σ(Wx)‖², x ~ N(0, I), by closed forms, from the rescaled truncated SVD. Never worse than that one, nor that
 * than the truncated SVD. Linear layers: the truncated SVD, which is the optimum (Eckart and Young).
 */
export const lfai: Init = {
  name: 'lfai',
  summary: "least expected error of the layer's function, by closed forms from the truncated SVD",
  fit: fitLfai,
};

/** Multiplications of one product with W that all steps together may amount to; three steps are always allowed. */
const stepWork = 4e8;
const fewestSteps = 3;
const mostSteps = 40;

async function fitLfai(problem: InitProblem): Promise<FactorPair> {
  const { weight, rowsPerNeuron, rank, linalg, seed, signal } = problem;
  const start = await fitScaled(problem);
  // At the limit of float32 there is nothing left to minimize.
  if (problem.activation.kind === 'linear' || start.losses.risk <= 1e-9 * start.profile.scale) return start.pair;
  const work = weight.rows * weight.cols * rank;
  const { projection, losses, steps } = await minimizeSubspace(start.projection, start.losses, {
    weight,
    rowsPerNeuron,
    profile: start.profile,
    linalg,
    seed,
    signal,
    tolerance: work < 1e7 ? 1e-6 : 1e-5,
    mostSteps: Math.min(mostSteps, Math.max(fewestSteps, Math.round(stepWork / work))),
  });
  if (steps === 0) return start.pair;
  const energies = groupEnergies(projection.coordinates, rowsPerNeuron);
  const coordinates = withNorms(projection.coordinates, rowsPerNeuron, energies, losses.norms, seed);
  return better(problem, splitEvenly({ coordinates, basis: projection.basis }), start.pair);
}
