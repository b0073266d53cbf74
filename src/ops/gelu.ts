import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';
import { geluSlope } from './support/gelu.js';

/** y = x·Φ(x), or its tanh approximation (ai.onnx 20). */
export const gelu = unary(
  'Gelu',
  elementwise((e, dy, x, _y, node) => e.mul(dy, geluSlope(e, x, node.string('approximate', 'none') === 'tanh'))),
);
