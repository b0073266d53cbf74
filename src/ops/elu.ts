import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = x where x ≥ 0, else α(exp x − 1) (ai.onnx 6). The derivative at 0 is α, as in PyTorch. */
export const elu = unary(
  'Elu',
  elementwise((e, dy, x, y, node) => {
    const below = e.add(y, e.scalar(node.float('alpha', 1), y));
    const isAbove = e.emit('Greater', [x, e.scalar(0, x)]);
    return e.mul(dy, e.emit('Where', [isAbove, e.scalar(1, x), below]));
  }),
);
