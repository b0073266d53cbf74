import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = x (ai.onnx 1). */
export const identity = unary(
  'Identity',
  (x) => x,
  '',
  elementwise((_e, dy) => dy),
);
