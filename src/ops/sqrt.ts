import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = √x (ai.onnx 6). */
export const sqrt = unary(
  'Sqrt',
  elementwise((e, dy, _x, y) => e.div(dy, e.scale(y, 2))),
  Math.sqrt,
);
