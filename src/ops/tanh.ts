import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = tanh x (ai.onnx 6). */
export const tanh = unary(
  'Tanh',
  elementwise((e, dy, _x, y) => e.mul(dy, e.sub(e.scalar(1, y), e.mul(y, y)))),
  Math.tanh,
);
