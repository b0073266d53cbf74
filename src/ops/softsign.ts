import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = x/(1 + |x|) (ai.onnx 1). */
export const softsign = unary(
  'Softsign',
  elementwise((e, dy, x) => {
    const root = e.add(e.emit('Abs', [x]), e.scalar(1, x));
    return e.div(dy, e.mul(root, root));
  }),
);
