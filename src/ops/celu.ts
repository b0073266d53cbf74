import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = max(0, x) + min(0, α(exp(x/α) − 1)) (ai.onnx 12). */
export const celu = unary(
  'Celu',
  elementwise((e, dy, x, _y, node) => {
    const alpha = node.float('alpha', 1);
    const negative = e.emit('Min', [x, e.scalar(0, x)]);
    return e.mul(dy, e.emit('Exp', [e.scale(negative, 1 / alpha)]));
  }),
);
