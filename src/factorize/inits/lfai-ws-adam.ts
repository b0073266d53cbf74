import { fitPairBySampling } from '../sampled/fit-pair.js';
import type { Init } from '../types.js';
import { spectral } from './spectral.js';

/** Small steps from a good start. */
const relativeRate = 0.005;

/**
 * LFAI-WS-Adam (arXiv 2202.00834, Algorithm 2): Adam on E‖σ(Ŵx) − σ(Wx)‖², x ~ N(0, I) drawn anew for every step, from the
 * truncated SVD.
 */
export const lfaiWsAdam: Init = {
  name: 'lfai-ws-adam',
  summary: 'sampled Adam on the same error, from the truncated SVD',
  isSampled: true,
  fit: async (problem) => fitPairBySampling(problem, await spectral.fit(problem), relativeRate),
};
