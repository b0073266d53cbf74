import { rule } from './gradient.js';
import { binary } from './support/elementwise.js';

/** z = a + b (ai.onnx 7, broadcast). */
export const add = binary(
  'Add',
  rule(({ e, inputs, gradients: [dz], needs }) =>
    inputs.map((x, i) => (needs[i] === true ? e.sumTo(dz!, x!) : undefined)),
  ),
  (a, b) => a + b,
);
