import { rule } from './gradient.js';
import type { Operator } from './operator.js';
import { groupNormGradient } from './support/channel-norm-gradient.js';
import { likeFirstInput } from './support/elementwise.js';
import { requirePerChannel } from './support/known.js';

/** (x − mean) / √(variance + ε) per sample and channel, then scale and bias (ai.onnx 6). */
export const instanceNormalization: Operator = {
  opType: 'InstanceNormalization',
  domain: '',
  infer: (context) => {
    requirePerChannel(context, [1, 2]);
    return likeFirstInput(context);
  },
  gradient: rule((context) => groupNormGradient(context, context.e.dims(context.inputs[0]!)[1]!)),
};
