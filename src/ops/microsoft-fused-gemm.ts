import { gemmMacs, inferGemm } from './gemm.js';
import { none } from './gradient.js';
import type { Operator } from './operator.js';

/** Gemm, then an activation (com.microsoft). Multiply-accumulates as Gemm. */
export const microsoftFusedGemm: Operator = {
  opType: 'FusedGemm',
  domain: 'com.microsoft',
  gradient: none('onnxruntime makes it when it optimizes a model; train the model as it was exported'),
  infer: inferGemm,
  macs: (_, inputs, outputs) => gemmMacs(inputs[0], outputs[0]),
};
