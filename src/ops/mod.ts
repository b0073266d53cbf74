import type { Value } from '../graph/value.js';
import { rule } from './gradient.js';
import { binary } from './support/elementwise.js';

/** The remainder of a/b, of the sign of b, or of a with fmod (ai.onnx 10, broadcast). */
export const mod = binary(
  'Mod',
  rule(({ e, inputs: [a, b], outputs: [z], gradients: [dz], needs }) => {
    // z = a − q·b with a whole number q, which does not change with a and b.
    const quotient = (): Value => e.emit('Round', [e.div(e.sub(a!, z!), b!)]);
    return [
      needs[0] === true ? e.sumTo(dz!, a!) : undefined,
      needs[1] === true ? e.neg(e.sumTo(e.mul(dz!, quotient()), b!)) : undefined,
    ];
  }),
  (a, b, { node }) => {
    const remainder = a % b;
    const isOtherSign = remainder !== 0 && remainder < 0 !== b < 0;
    return isOtherSign && node.int('fmod', 0) === 0 ? remainder + b : remainder;
  },
);
