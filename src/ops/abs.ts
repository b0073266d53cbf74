import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = |x| (ai.onnx 6). The derivative at 0 is 0, as in PyTorch. */
export const abs = unary(
  'Abs',
  elementwise((e, dy, x) => e.mul(dy, e.emit('Sign', [x]))),
  Math.abs,
);
