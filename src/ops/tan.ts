import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = tan x (ai.onnx 7). */
export const tan = unary(
  'Tan',
  elementwise((e, dy, _x, y) => e.mul(dy, e.add(e.mul(y, y), e.scalar(1, y)))),
  Math.tan,
);
