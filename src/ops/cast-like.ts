import { rule } from './gradient.js';
import type { Operator } from './operator.js';
import { input, known } from './support/known.js';

/** x as the type of another tensor (ai.onnx 15, 19, 21). */
export const castLike: Operator = {
  opType: 'CastLike',
  domain: '',
  gradient: rule(({ e, inputs: [x, like], gradients: [dy], needs }) => [
    e.cast(dy!, e.typeOf(x!).dataType),
    needs[1] === true ? e.zerosLike(like!) : undefined,
  ]),
  infer: (context) => {
    const x = input(context, 0);
    return [known(input(context, 1).dataType, x.dims, x.constant)];
  },
};
