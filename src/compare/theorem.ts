import type { Candidate } from '../factorize/candidates.js';
import type { Fit } from '../factorize/fit.js';
import { type TheoremBound, theoremBound } from '../factorize/theorem-bound.js';
import type { Linalg } from '../linalg/types.js';
import type { ComparedTheorem } from '../contracts/compare.js';
import { layerMatrix } from './layer-matrix.js';

export interface TheoremTerms extends TheoremBound {
  /** d: entries of the x that a neuron sees, in · kh · kw in every scheme. */
  readonly dimension: number;
}

/** The terms of Theorem 3.5 from a layer's truncated SVD. */
export async function theoremTerms(spectral: Fit, linalg: Linalg): Promise<TheoremTerms> {
  const { layer, activation } = spectral.candidate;
  const { geometry } = layer;
  const terms = await theoremBound({ ...layerMatrix(layer, spectral.scheme), activation, linalg }, spectral.pair);
  return { ...terms, dimension: geometry.in * geometry.kernel[0] * geometry.kernel[1] };
}

/** The theorem on a layer, from its terms and the function errors of both fits; undefined where they failed. */
export function describeTheorem(
  terms: TheoremTerms | undefined,
  { activation, layer }: Candidate,
  spectralError: number | undefined,
  lfaiError: number | undefined,
): ComparedTheorem {
  const { geometry } = layer;
  const dimension = geometry.in * geometry.kernel[0] * geometry.kernel[1];
  const gap =
    terms === undefined || spectralError === undefined || lfaiError === undefined
      ? null
      : (terms.scale * (spectralError ** 2 - lfaiError ** 2)) / dimension;
  const bound = terms?.bound ?? null;
  return {
    dimension,
    bound: bound === null ? null : bound / dimension,
    reason: bound === null ? reasonFor(activation.kind, layer.group, terms === undefined) : null,
    gap,
    scale: terms === undefined ? null : terms.scale / dimension,
  };
}

function reasonFor(kind: Candidate['activation']['kind'], group: number, isMissing: boolean): string {
  if (kind === 'linear') return 'no activation: the truncated SVD is the optimum';
  if (kind !== 'Relu') return `the theorem is about ReLU, and ${kind} follows`;
  if (group > 1) return `the theorem is about one matrix, and these are ${group} groups`;
  return isMissing ? 'the truncated SVD could not be fitted' : '';
}
