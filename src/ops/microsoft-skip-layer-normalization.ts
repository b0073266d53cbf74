import type { Operator } from './operator.js';
import { inferSkip } from './support/skip-normalization.js';

/** LayerNormalization of input + skip + bias; the fourth output is that sum (com.microsoft). */
export const microsoftSkipLayerNormalization: Operator = {
  opType: 'SkipLayerNormalization',
  domain: 'com.microsoft',
  infer: inferSkip,
};
