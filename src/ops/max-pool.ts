import { int, string } from '../graph/attributes.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { INT64 } from '../onnx/data-type.js';
import type { Emitter } from './emitter.js';
import { rule } from './gradient.js';
import type { Operator } from './operator.js';
import { input, known } from './support/known.js';
import { poolDims } from './support/pool.js';

/** Where the maxima are: offsets into x, row-major. */
function maxima(e: Emitter, node: Node, x: Value, indices: Value | undefined): Value {
  if (indices !== undefined && node.int('storage_order', 0) === 0) return indices;
  const attributes = { ...Object.fromEntries(node.attributes), storage_order: int(0) };
  return e.emitAll('MaxPool', [x], attributes, { outputs: 2 })[1]!;
}

/**
 * The largest element of each window, and int64 indices of them (ai.onnx 1, 8, 10, 11, 12, 22). All of dy goes to the first
 * largest element of the window, as in PyTorch; what several windows give to one element adds up. The sum runs in the order
 * of the windows on CPU; on CUDA its order, and so its last bit, is not defined.
 */
export const maxPool: Operator = {
  opType: 'MaxPool',
  domain: '',
  infer: (context) => {
    const x = input(context, 0);
    const dims = poolDims(context.node, x.dims);
    return [known(x.dataType, dims), known(INT64, dims)];
  },
  gradient: rule(({ e, node, inputs: [x], outputs, gradients: [dy] }) => {
    const flat = (value: Value): Value => e.reshape(value, [-1]);
    const indices = flat(maxima(e, node, x!, outputs[1]));
    const scattered = e.emit('ScatterElements', [e.zerosLike(flat(x!)), indices, flat(dy!)], {
      axis: int(0),
      reduction: string('add'),
    });
    return [e.reshapeLike(scattered, x!)];
  }),
};
