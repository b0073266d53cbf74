import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';
import { swishSlope } from './support/gelu.js';

/** y = x·sigmoid(αx) (ai.onnx 24). */
export const swish = unary(
  'Swish',
  elementwise((e, dy, x, _y, node) => e.mul(dy, swishSlope(e, x, node.float('alpha', 1)))),
);
