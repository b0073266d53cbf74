import { inferConv } from './conv.js';
import { none } from './gradient.js';
import type { Operator } from './operator.js';

/**
 * Conv on tensors whose memory is in blocks of channels: [N, C/b, H, W, b] under the dims [N, C, H, W], the weight of a
 * depthwise convolution [C/b, kh, kw, b] under [C, 1, kh, kw] (com.microsoft.nchwc 1, part of stock onnxruntime for CPUs,
 * where b depends on the machine). Shapes are those of Conv.
 */
export const microsoftNchwcConv: Operator = {
  opType: 'Conv',
  domain: 'com.microsoft.nchwc',
  infer: inferConv,
  gradient: none('it is made for one machine; the lowered training step has a rule for what it stands for'),
};
