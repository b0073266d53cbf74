import { rule } from './gradient.js';
import { binary } from './support/elementwise.js';

/** z = a/b, integers rounded towards zero (ai.onnx 7, broadcast). */
export const div = binary(
  'Div',
  rule(({ e, inputs: [a, b], outputs: [z], gradients: [dz], needs }) => {
    const da = e.div(dz!, b!);
    return [
      needs[0] === true ? e.sumTo(da, a!) : undefined,
      needs[1] === true ? e.neg(e.sumTo(e.mul(da, z!), b!)) : undefined,
    ];
  }),
  (a, b) => a / b,
);
