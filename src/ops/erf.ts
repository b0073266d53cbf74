import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = erf x, the error function (ai.onnx 9). */
export const erf = unary(
  'Erf',
  elementwise((e, dy, x) => e.mul(dy, e.scale(e.emit('Exp', [e.neg(e.mul(x, x))]), 2 / Math.sqrt(Math.PI)))),
);
