import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = x where x ≥ 0, else αx (ai.onnx 6). The derivative at 0 is α, as in PyTorch. */
export const leakyRelu = unary(
  'LeakyRelu',
  elementwise((e, dy, x, _y, node) =>
    e.emit('Where', [e.emit('Greater', [x, e.scalar(0, x)]), dy, e.scale(dy, node.float('alpha', 0.01))]),
  ),
);
