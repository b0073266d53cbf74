import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = 1/(1 + exp(−x)) (ai.onnx 6). */
export const sigmoid = unary(
  'Sigmoid',
  elementwise((e, dy, _x, y) => e.mul(dy, e.mul(y, e.sub(e.scalar(1, y), y)))),
  (x) => 1 / (1 + Math.exp(-x)),
);
