import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = x where x > α, else 0 (ai.onnx 10). The derivative at α is 0, as in PyTorch. */
export const thresholdedRelu = unary(
  'ThresholdedRelu',
  elementwise((e, dy, x, _y, node) =>
    e.mul(dy, e.indicator(e.emit('Greater', [x, e.scalar(node.float('alpha', 1), x)]), x)),
  ),
);
