import { rule } from './gradient.js';
import { unary } from './support/elementwise.js';

/**
 * exp x divided by its sum (ai.onnx 1; along one axis since 13, over all axes from `axis` on before).
 * dx = y·(dy − Σ dy·y), the sum along the axis; for 13 and later, which is what an emitter emits.
 */
export const softmax = unary(
  'Softmax',
  rule(({ e, node, outputs: [y], gradients: [dy] }) => {
    const sum = e.reduceSum(e.mul(dy!, y!), [node.int('axis', -1)]);
    return [e.mul(y!, e.sub(dy!, sum))];
  }),
);
