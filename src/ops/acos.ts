import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = arccos x (ai.onnx 7). */
export const acos = unary(
  'Acos',
  elementwise((e, dy, x) => e.neg(e.div(dy, e.emit('Sqrt', [e.sub(e.scalar(1, x), e.mul(x, x))])))),
  Math.acos,
);
