import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = cosh x (ai.onnx 9). */
export const cosh = unary(
  'Cosh',
  elementwise((e, dy, x) => e.mul(dy, e.emit('Sinh', [x]))),
  Math.cosh,
);
