import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = arcsin x (ai.onnx 7). */
export const asin = unary(
  'Asin',
  elementwise((e, dy, x) => e.div(dy, e.emit('Sqrt', [e.sub(e.scalar(1, x), e.mul(x, x))]))),
  Math.asin,
);
