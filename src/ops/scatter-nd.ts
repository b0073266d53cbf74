import { rule } from './gradient.js';
import type { Operator } from './operator.js';
import { input, isSmall, known } from './support/known.js';
import { sizeOf } from './support/layout.js';
import { requireSum } from './support/scatter-reduction.js';
import { stridesOf } from './support/select.js';

/** x with `updates` at index tuples (ai.onnx 11; reductions since 16, 18). */
export const scatterND: Operator = {
  opType: 'ScatterND',
  domain: '',
  gradient: rule(({ e, node, inputs: [, indices, updates], gradients: [dy], needs }) => {
    const isAdded = requireSum(node);
    return [
      needs[0] !== true || isAdded ? dy : e.emit('ScatterND', [dy!, indices!, e.zerosLike(updates!)]),
      undefined,
      needs[2] === true ? e.emit('GatherND', [dy!, indices!]) : undefined,
    ];
  }),
  infer: (context) => {
    const x = input(context, 0);
    const indices = input(context, 1);
    const updates = input(context, 2);
    const tuple = indices.dims.at(-1) ?? 0;
    const isFoldable = context.node.string('reduction', 'none') === 'none' && tuple > 0 && isSmall(x.dims);
    if (!isFoldable || x.constant === undefined || !indices.constant || !updates.constant) {
      return [known(x.dataType, x.dims)];
    }
    const result = [...x.constant];
    const strides = stridesOf(x.dims);
    const length = sizeOf(x.dims.slice(tuple));
    for (let row = 0; row * tuple < indices.constant.length; row++) {
      const index = indices.constant.slice(row * tuple, (row + 1) * tuple);
      const start = index.reduce((sum, at, i) => sum + (at < 0 ? at + x.dims[i]! : at) * strides[i]!, 0);
      result.splice(start, length, ...updates.constant.slice(row * length, (row + 1) * length));
    }
    return [known(x.dataType, x.dims, result)];
  },
};
