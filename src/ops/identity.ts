import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = x (ai.onnx 1). */
export const identity = unary(
  'Identity',
  elementwise((_e, dy) => dy),
  (x) => x,
);
