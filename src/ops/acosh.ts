import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = arcosh x (ai.onnx 9). */
export const acosh = unary(
  'Acosh',
  elementwise((e, dy, x) => e.div(dy, e.emit('Sqrt', [e.sub(e.mul(x, x), e.scalar(1, x))]))),
  Math.acosh,
);
