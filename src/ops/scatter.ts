import { int } from '../graph/attributes.js';
import { rule } from './gradient.js';
import type { Operator } from './operator.js';
import { likeFirstInput } from './support/elementwise.js';
import { requireSum } from './support/scatter-reduction.js';

/** x with `updates` at `indices` along an axis (ai.onnx 9; ScatterElements since 11). */
export const scatter: Operator = {
  opType: 'Scatter',
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
  infer: likeFirstInput,
};
