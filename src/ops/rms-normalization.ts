import type { Operator } from './operator.js';
import { likeFirstInput } from './support/elementwise.js';
import { rmsNormGradient } from './support/layer-norm-gradient.js';

/** x / √(mean x² + ε) over the last axes, then scale (ai.onnx 23). */
export const rmsNormalization: Operator = {
  opType: 'RMSNormalization',
  domain: '',
  infer: likeFirstInput,
  gradient: rmsNormGradient,
};
