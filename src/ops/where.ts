import { rule } from './gradient.js';
import type { Operator } from './operator.js';
import { broadcast, foldBroadcast } from './support/broadcast.js';
import { input, known } from './support/known.js';

/** x where the condition holds, else y, broadcast (ai.onnx 9, 16). */
export const where: Operator = {
  opType: 'Where',
  domain: '',
  gradient: rule(({ e, inputs: [condition, x, y], gradients: [dz], needs }) => {
    const zero = e.scalar(0, dz);
    return [
      undefined,
      needs[1] === true ? e.sumTo(e.emit('Where', [condition!, dz!, zero]), x!) : undefined,
      needs[2] === true ? e.sumTo(e.emit('Where', [condition!, zero, dz!]), y!) : undefined,
    ];
  }),
  infer: (context) => {
    const values = [0, 1, 2].map((index) => input(context, index));
    const dims = broadcast(...values.map((value) => value.dims));
    const constant = foldBroadcast(values, dims, (condition, x, y) => (condition !== 0 ? x : y));
    return [known(input(context, 1).dataType, dims, constant)];
  },
};
