import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = artanh x (ai.onnx 9). */
export const atanh = unary(
  'Atanh',
  elementwise((e, dy, x) => e.div(dy, e.sub(e.scalar(1, x), e.mul(x, x)))),
  Math.atanh,
);
