import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = −x (ai.onnx 6). */
export const neg = unary(
  'Neg',
  elementwise((e, dy) => e.neg(dy)),
  (x) => -x,
);
