import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = x·tanh(softplus x) (ai.onnx 18). */
export const mish = unary(
  'Mish',
  elementwise((e, dy, x) => {
    const gate = e.emit('Tanh', [e.emit('Softplus', [x])]);
    const slope = e.mul(e.sub(e.scalar(1, x), e.mul(gate, gate)), e.emit('Sigmoid', [x]));
    return e.mul(dy, e.add(gate, e.mul(x, slope)));
  }),
);
