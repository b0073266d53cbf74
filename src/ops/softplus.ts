import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = ln(1 + exp x) (ai.onnx 1). */
export const softplus = unary(
  'Softplus',
  elementwise((e, dy, x) => e.mul(dy, e.emit('Sigmoid', [x]))),
);
