import { rule } from './gradient.js';
import { binary } from './support/elementwise.js';

/** z = a · b (ai.onnx 7, broadcast). */
export const mul = binary(
  'Mul',
  rule(({ e, inputs: [a, b], gradients: [dz], needs }) => [
    needs[0] === true ? e.sumTo(e.mul(dz!, b!), a!) : undefined,
    needs[1] === true ? e.sumTo(e.mul(dz!, a!), b!) : undefined,
  ]),
  (a, b) => a * b,
);
