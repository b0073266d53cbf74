import { FLOAT } from '../onnx/data-type.js';
import { zero } from './gradient.js';
import type { Operator } from './operator.js';
import { shapeError } from './support/fail.js';
import { givenInput, isSmall, known } from './support/known.js';
import { sizeOf } from './support/layout.js';

/** A tensor of one repeated value, float32 0 by default (ai.onnx 9). */
export const constantOfShape: Operator = {
  opType: 'ConstantOfShape',
  domain: '',
  gradient: zero,
  infer: (context) => {
    const dims = givenInput(context, 0);
    if (dims === 'unknown') return undefined;
    if (dims === 'absent') throw shapeError('ConstantOfShape without a shape');
    const tensor = context.node.tensor('value');
    const element = tensor === undefined ? 0 : tensor.toNumbers()[0]!;
    const constant = isSmall(dims) ? Array.from({ length: sizeOf(dims) }, () => element) : undefined;
    return [known(tensor?.dataType ?? FLOAT, dims, constant)];
  },
};
