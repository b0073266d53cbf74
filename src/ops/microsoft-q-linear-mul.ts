import { quantized } from './gradient.js';
import type { Operator } from './operator.js';
import { broadcast } from './support/broadcast.js';
import { input, known } from './support/known.js';

/** a·b of quantized tensors, broadcast: a, scale, zero point, b and its, the result's (com.microsoft). */
export const microsoftQLinearMul: Operator = {
  opType: 'QLinearMul',
  domain: 'com.microsoft',
  gradient: quantized,
  infer: (context) => {
    const a = input(context, 0);
    return [known(a.dataType, broadcast(a.dims, input(context, 3).dims))];
  },
};
