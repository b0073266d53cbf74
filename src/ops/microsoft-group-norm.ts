import type { Operator } from './operator.js';
import { likeFirstInput } from './support/elementwise.js';

/** GroupNormalization of channels-last images with an activation (com.microsoft). */
export const microsoftGroupNorm: Operator = { opType: 'GroupNorm', domain: 'com.microsoft', infer: likeFirstInput };
