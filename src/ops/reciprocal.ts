import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = 1/x (ai.onnx 6). */
export const reciprocal = unary(
  'Reciprocal',
  elementwise((e, dy, _x, y) => e.neg(e.mul(dy, e.mul(y, y)))),
  (x) => 1 / x,
);
