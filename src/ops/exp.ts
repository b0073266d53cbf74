import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = exp x (ai.onnx 6). */
export const exp = unary(
  'Exp',
  elementwise((e, dy, _x, y) => e.mul(dy, y)),
  Math.exp,
);
