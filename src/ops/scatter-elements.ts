import { int } from '../graph/attributes.js';
import { rule } from './gradient.js';
import type { Operator } from './operator.js';
import { likeFirstInput } from './support/elementwise.js';
import { input } from './support/known.js';
import { requireSum } from './support/scatter-reduction.js';

/** x with `updates` at `indices` along an axis (ai.onnx 11). */
export const scatterElements: Operator = {
  opType: 'ScatterElements',
  domain: '',
  gradient: rule(({ e, node, inputs: [, indices, updates], gradients: [dy], needs }) => {
    const isAdded = requireSum(node);
    return [
      needs[0] !== true || isAdded
        ? dy
        : e.emit('ScatterElements', [dy!, indices!, e.zerosLike(updates!)], { axis: int(node.int('axis', 0)) }),
      undefined,
      needs[2] === true ? e.emit('GatherElements', [dy!, indices!], { axis: int(node.int('axis', 0)) }) : undefined,
    ];
  }),
  infer: (context) => {
    for (const index of [1, 2]) input(context, index);
    return likeFirstInput(context);
  },
};
