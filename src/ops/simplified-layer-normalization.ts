import { inferLayerNormalization } from './layer-normalization.js';
import type { Operator } from './operator.js';
import { rmsNormGradient } from './support/layer-norm-gradient.js';

/** x / √(mean x² + ε) over the axes from `axis` on, then scale; outputs y, 1/√… (an operator of onnxruntime in ai.onnx). */
export const simplifiedLayerNormalization: Operator = {
  opType: 'SimplifiedLayerNormalization',
  domain: '',
  infer: inferLayerNormalization,
  gradient: rmsNormGradient,
};
