import type { Operator } from './operator.js';
import { inferSkip, skipRmsNormGradient } from './support/skip-normalization.js';

/** SimplifiedLayerNormalization of input + skip + bias; the fourth output is that sum (com.microsoft). */
export const microsoftSkipSimplifiedLayerNormalization: Operator = {
  opType: 'SkipSimplifiedLayerNormalization',
  domain: 'com.microsoft',
  infer: inferSkip,
  gradient: skipRmsNormGradient,
};
