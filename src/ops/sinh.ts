import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = sinh x (ai.onnx 9). */
export const sinh = unary(
  'Sinh',
  elementwise((e, dy, x) => e.mul(dy, e.emit('Cosh', [x]))),
  Math.sinh,
);
