import { rule } from './gradient.js';
import { binary } from './support/elementwise.js';

/** z = a − b (ai.onnx 7, broadcast). */
export const sub = binary(
  'Sub',
  rule(({ e, inputs: [a, b], gradients: [dz], needs }) => [
    needs[0] === true ? e.sumTo(dz!, a!) : undefined,
    needs[1] === true ? e.neg(e.sumTo(dz!, b!)) : undefined,
  ]),
  (a, b) => a - b,
);
