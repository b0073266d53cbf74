import type { Operator } from './operator.js';
import { likeFirstInput } from './support/elementwise.js';

/** (x − mean) / √(variance + ε) per sample and channel, then scale and bias (ai.onnx 6). */
export const instanceNormalization: Operator = { opType: 'InstanceNormalization', domain: '', infer: likeFirstInput };
