import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = cos x (ai.onnx 7). */
export const cos = unary(
  'Cos',
  elementwise((e, dy, x) => e.neg(e.mul(dy, e.emit('Sin', [x])))),
  Math.cos,
);
