import { quantized } from './gradient.js';
import type { Operator } from './operator.js';
import { input, known } from './support/known.js';
import { concatDims } from './support/select.js';

/** Concat of quantized tensors: the result's scale and zero point, then (x, scale, zero point) for each (com.microsoft). */
export const microsoftQLinearConcat: Operator = {
  opType: 'QLinearConcat',
  domain: 'com.microsoft',
  gradient: quantized,
  infer: (context) => {
    const parts = context.inputs.flatMap((_, index) => (index >= 2 && index % 3 === 2 ? [input(context, index)] : []));
    const shapes = parts.map(({ dims }) => dims);
    return [known(input(context, 1).dataType, concatDims(shapes, context.node.int('axis', 0)))];
  },
};
