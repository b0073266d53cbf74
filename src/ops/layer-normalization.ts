import { FLOAT } from '../onnx/data-type.js';
import type { InferenceContext, Known, Operator } from './operator.js';
import { input, known } from './support/known.js';
import { layerNormGradient } from './support/layer-norm-gradient.js';
import { normalizeAxis } from './support/layout.js';

/** y as x; mean and 1/standard deviation, of type stash_type, with the axes from `axis` on set to 1. */
export function inferLayerNormalization(context: InferenceContext): Known[] {
  const { node } = context;
  const x = input(context, 0);
  const axis = normalizeAxis(node.int('axis', -1), x.dims.length);
  const dims = x.dims.map((dim, i) => (i < axis ? dim : 1));
  const stash = known(node.int('stash_type', FLOAT), dims);
  return [known(x.dataType, x.dims), stash, stash];
}

/** (x − mean) / √(variance + ε) over the axes from `axis` on, then scale and bias (ai.onnx 17). */
export const layerNormalization: Operator = {
  opType: 'LayerNormalization',
  domain: '',
  infer: inferLayerNormalization,
  gradient: layerNormGradient,
};
