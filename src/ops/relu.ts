import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = max(0, x) (ai.onnx 6). The derivative at 0 is 0, as in PyTorch. */
export const relu = unary(
  'Relu',
  elementwise((e, dy, _x, y) => e.mul(dy, e.indicator(e.emit('Greater', [y, e.scalar(0, y)]), y))),
  (x) => Math.max(0, x),
);
