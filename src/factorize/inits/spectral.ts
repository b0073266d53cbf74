import type { Init } from '../types.js';
import { leadingProjection, splitInPlace } from './support/subspace.js';

/** Truncated SVD, the singular values split evenly: the best approximation of the weight. */
export const spectral: Init = {
  name: 'spectral',
  summary: 'truncated SVD, split by √σ',
  fit: async (problem) => splitInPlace(await leadingProjection(problem)),
};
