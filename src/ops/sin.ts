import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = sin x (ai.onnx 7). */
export const sin = unary(
  'Sin',
  elementwise((e, dy, x) => e.mul(dy, e.emit('Cos', [x]))),
  Math.sin,
);
