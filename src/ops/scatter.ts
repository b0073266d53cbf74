import { none } from './gradient.js';
import type { Operator } from './operator.js';
import { likeFirstInput } from './support/elementwise.js';

/** x with `updates` at `indices` along an axis (ai.onnx 9; ScatterElements since 11). */
export const scatter: Operator = {
  opType: 'Scatter',
  domain: '',
  gradient: none('ai.onnx 11 replaced it by ScatterElements'),
  infer: likeFirstInput,
};
