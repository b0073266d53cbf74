import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = arsinh x (ai.onnx 9). */
export const asinh = unary(
  'Asinh',
  elementwise((e, dy, x) => e.div(dy, e.emit('Sqrt', [e.add(e.mul(x, x), e.scalar(1, x))]))),
  Math.asinh,
);
