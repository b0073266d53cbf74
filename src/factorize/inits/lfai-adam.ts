import { fitPairBySampling } from '../sampled/fit-pair.js';
import type { Init } from '../types.js';
import { baseline } from './baseline.js';

/** Factors that have everything to learn. */
const relativeRate = 0.1;

/**
 * LFAI-Adam (arXiv 2202.00834, Algorithm 1): Adam on E‖σ(Ŵx) − σ(Wx)‖², x ~ N(0, I) drawn anew for every step, from fresh
 * factors.
 */
export const lfaiAdam: Init = {
  name: 'lfai-adam',
  summary: 'sampled Adam on the same error, from fresh factors',
  isSampled: true,
  fit: async (problem) => fitPairBySampling(problem, await baseline.fit(problem), relativeRate),
};
