import type { Operator } from './operator.js';
import { shapeError } from './support/fail.js';
import { input, known } from './support/known.js';
import { showDims, sizeOf } from './support/layout.js';
import { transposedDims, windowOf } from './support/window.js';

/**
 * Transposed convolution of x [N, C, …] with w [C, M/group, …] (ai.onnx 1, 11, 22).
 * Multiply-accumulates: every input element meets M/group channels and the kernel: size(x) · Π w.dims[1…].
 */
export const convTranspose: Operator = {
  opType: 'ConvTranspose',
  domain: '',
  infer: (context) => {
    const { node } = context;
    const x = input(context, 0);
    const w = input(context, 1).dims;
    const group = node.int('group', 1);
    if (x.dims.length < 3 || x.dims.length !== w.length || x.dims[1] !== w[0] || w[0]! % group !== 0) {
      throw shapeError(`transposed convolution of ${showDims(x.dims)} with ${showDims(w)} in ${group} groups`);
    }
    const spatial = x.dims.slice(2);
    const kernel = node.ints('kernel_shape') ?? w.slice(2);
    const window = windowOf(node, kernel, spatial.length);
    return [known(x.dataType, [x.dims[0]!, w[1]! * group, ...transposedDims(node, spatial, window)])];
  },
  macs: (_, [x, w]) => (x === undefined || w === undefined ? 0 : sizeOf(x.dims) * sizeOf(w.dims.slice(1))),
};
