import { rule } from './gradient.js';
import { unary } from './support/elementwise.js';

/**
 * Logarithm of Softmax (ai.onnx 1; along one axis since 13). dx = dy − exp(y)·Σ dy, the sum along the axis; for 13 and
 * later, which is what an emitter emits.
 */
export const logSoftmax = unary(
  'LogSoftmax',
  rule(({ e, node, outputs: [y], gradients: [dy] }) => {
    const sum = e.reduceSum(dy!, [node.int('axis', -1)]);
    return [e.sub(dy!, e.mul(e.emit('Exp', [y!]), sum))];
  }),
);
