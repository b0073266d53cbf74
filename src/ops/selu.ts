import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = γx where x > 0, else γα(exp x − 1) (ai.onnx 6). The derivative at 0 is γα, as in PyTorch. */
export const selu = unary(
  'Selu',
  elementwise((e, dy, x, y, node) => {
    const alpha = node.float('alpha', 1.67326319217681884765625);
    const gamma = node.float('gamma', 1.05070102214813232421875);
    const below = e.add(y, e.scalar(gamma * alpha, y));
    const isAbove = e.emit('Greater', [x, e.scalar(0, x)]);
    return e.mul(dy, e.emit('Where', [isAbove, e.scalar(gamma, x), below]));
  }),
);
