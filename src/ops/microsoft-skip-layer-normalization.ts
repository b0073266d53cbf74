import type { Operator } from './operator.js';
import { inferSkip, skipLayerNormGradient } from './support/skip-normalization.js';

/** LayerNormalization of input + skip + bias; the fourth output is that sum (com.microsoft). */
export const microsoftSkipLayerNormalization: Operator = {
  opType: 'SkipLayerNormalization',
  domain: 'com.microsoft',
  infer: inferSkip,
  gradient: skipLayerNormGradient,
};
