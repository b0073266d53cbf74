import { convMacs, inferConv } from './conv.js';
import { none } from './gradient.js';
import type { Operator } from './operator.js';

/** Conv, then a sum with the fourth input, then an activation (com.microsoft). Multiply-accumulates as Conv. */
export const microsoftFusedConv: Operator = {
  opType: 'FusedConv',
  domain: 'com.microsoft',
  gradient: none('onnxruntime makes it when it optimizes a model; train the model as it was exported'),
  infer: inferConv,
  macs: (_, inputs, outputs) => convMacs(inputs[1], outputs[0]),
};
