import { rule } from './gradient.js';
import type { Operator } from './operator.js';
import { groupNormGradient } from './support/channel-norm-gradient.js';
import { likeFirstInput } from './support/elementwise.js';

/** As InstanceNormalization over groups of channels (ai.onnx 18; scale and bias per channel since 21). */
export const groupNormalization: Operator = {
  opType: 'GroupNormalization',
  domain: '',
  infer: likeFirstInput,
  gradient: rule((context) => groupNormGradient(context, context.node.int('num_groups', 1))),
};
