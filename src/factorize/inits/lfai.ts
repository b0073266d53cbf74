import type { Init, InitProblem } from '../types.js';
import type { FactorPair } from '../../rewrite/types.js';
import { better, fitScaled, judge } from './spectral-scaled.js';
import { minimizeSubspace } from './support/minimize.js';
import { projectedEnergies, splitInPlace, withNorms } from './support/subspace.js';

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
/** Products from this size on are what a conversion's time is spent on. */
const largeWork = 1e7;
/**
 * Products up to this size cost next to nothing. The loss mostly ends within ten times the tolerance of its minimum, but where
 * few neurons share few directions it may pass a saddle, at which a step promises less than what lies behind it.
 */
const smallWork = 1e6;
/** Directions tried for neurons that are orthogonal to the subspace, where products are small. */
const attempts = 8;

async function fitLfai(problem: InitProblem): Promise<FactorPair> {
  const { weight, rowsPerNeuron, rank, linalg, seed, signal } = problem;
  const start = await fitScaled(problem);
  const { profile } = start;
  // At the limit of float32 there is nothing left to minimize.
  if (problem.activation.kind === 'linear' || start.losses.risk <= 1e-9 * profile.scale) return start.best.pair;
  const work = weight.rows * weight.cols * rank;
  const options = {
    weight,
    rowsPerNeuron,
    profile,
    linalg,
    seed,
    signal,
    tolerance: work < smallWork ? 1e-7 : work < largeWork ? 5e-6 : 1e-5,
    mostSteps: Math.min(mostSteps, Math.max(fewestSteps, Math.round(stepWork / work))),
  };
  let best = await minimizeSubspace(start.projection, start.losses, options);
  // Structured weights: which minimum is found depends on the arbitrary directions.
  if (start.hasOrthogonal && work <= smallWork) {
    for (let attempt = 1; attempt < attempts; attempt++) {
      const other = await minimizeSubspace(start.projection, start.losses, { ...options, attempt });
      if (other.losses.risk < best.losses.risk) best = other;
    }
  }
  if (best.steps === 0) return start.best.pair;
  const { projection, losses } = best;
  const energies = projectedEnergies(projection.coordinates, rowsPerNeuron, profile.norms);
  const coordinates = withNorms(projection.coordinates, rowsPerNeuron, energies, losses.norms, seed);
  const fitted = await judge(problem, splitInPlace({ coordinates, basis: projection.basis }));
  return better(fitted, start.best).pair;
}
