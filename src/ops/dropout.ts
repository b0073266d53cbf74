import { LowrankError } from '../errors.js';
import { BOOL } from '../onnx/data-type.js';
import { rule } from './gradient.js';
import type { Operator } from './operator.js';
import { input, known } from './support/known.js';

/** y = x with elements dropped in training, and the mask: bool since ai.onnx 10, of x's type before (ratio an input since 12). */
export const dropout: Operator = {
  opType: 'Dropout',
  domain: '',
  settings: [1, 2],
  gradient: rule(({ e, node, inputs: [, , isTraining], gradients: [dy] }) => {
    const isIdentity = isTraining === undefined || e.typeOf(isTraining).constant?.[0] === 0;
    if (isIdentity) return [dy];
    throw new LowrankError('UNSUPPORTED', 'Dropout that draws its own mask has no gradient', { place: node.label });
  }),
  training: ({ node, e, inputs: [x, given], mask }) => {
    const ratio = node.float('ratio') ?? (given === undefined ? 0.5 : e.typeOf(given).constant?.[0]);
    if (ratio === undefined) {
      throw new LowrankError('UNSUPPORTED', 'the ratio of Dropout is not known before the run', { place: node.label });
    }
    const drawn = mask(node.id, e.dims(x!).slice(1), ratio);
    return { outputs: [drawn === undefined ? x : e.mul(x!, drawn)] };
  },
  infer: (context) => {
    const x = input(context, 0);
    return [known(x.dataType, x.dims), known(context.opset < 10 ? x.dataType : BOOL, x.dims)];
  },
};
