import { rule } from './gradient.js';
import type { Operator } from './operator.js';
import { shapeError } from './support/fail.js';
import { input, known } from './support/known.js';
import { showDims } from './support/layout.js';
import { scatterTuples } from './support/scatter-nd.js';

/** Slices of x at index tuples, the last axis of `indices`, after batch_dims common axes (ai.onnx 11, 12). */
export const gatherND: Operator = {
  opType: 'GatherND',
  domain: '',
  gradient: rule(({ e, node, inputs: [x, indices], gradients: [dy] }) => [
    scatterTuples(e, dy!, indices!, x!, node.int('batch_dims', 0)),
  ]),
  infer: (context) => {
    const x = input(context, 0);
    const indices = input(context, 1).dims;
    const batch = context.node.int('batch_dims', 0);
    const tuple = indices.at(-1);
    if (tuple === undefined || batch + tuple > x.dims.length) {
      throw shapeError(`GatherND of ${showDims(x.dims)} at ${showDims(indices)}`);
    }
    return [known(x.dataType, [...indices.slice(0, -1), ...x.dims.slice(batch + tuple)])];
  },
};
