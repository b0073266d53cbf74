import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = arctan x (ai.onnx 7). */
export const atan = unary(
  'Atan',
  elementwise((e, dy, x) => e.div(dy, e.add(e.mul(x, x), e.scalar(1, x)))),
  Math.atan,
);
