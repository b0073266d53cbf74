import type { Operator } from './operator.js';
import { likeFirstInput } from './support/elementwise.js';

/** As InstanceNormalization over groups of channels (ai.onnx 18; scale and bias per channel since 21). */
export const groupNormalization: Operator = { opType: 'GroupNormalization', domain: '', infer: likeFirstInput };
