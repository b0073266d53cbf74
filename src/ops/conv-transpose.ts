import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import type { Emitter } from './emitter.js';
import { rule } from './gradient.js';
import type { Operator } from './operator.js';
import { convBiasGradient, convolve, convWeightGradient } from './support/conv-gradient.js';
import { type Convolution, convolutionBetween } from './support/convolution.js';
import { shapeError } from './support/fail.js';
import { input, known } from './support/known.js';
import { showDims, sizeOf } from './support/layout.js';
import { transposedBegins, transposedDims, windowOf } from './support/window.js';

function adjointConvolution(e: Emitter, node: Node, x: Value, w: Value, dy: Value): Convolution {
  const [, filters, ...output] = e.dims(x);
  const [, channels, ...input] = e.dims(dy);
  const kernel = e.dims(w).slice(2);
  const sizes = { channels: channels!, filters: filters!, kernel, input, output };
  return convolutionBetween(node, sizes, (window) => transposedBegins(node, output, input, window));
}

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
  // The convolution whose adjoint this is leads from y to x.
  gradient: rule(({ e, node, inputs: [x, w], gradients: [dy], needs }) => {
    const convolution = adjointConvolution(e, node, x!, w!, dy!);
    return [
      needs[0] === true ? convolve(e, convolution, dy!, w!) : undefined,
      needs[1] === true ? convWeightGradient(e, convolution, dy!, x!) : undefined,
      needs[2] === true ? convBiasGradient(e, dy!) : undefined,
    ];
  }),
  macs: (_, [x, w]) => (x === undefined || w === undefined ? 0 : sizeOf(x.dims) * sizeOf(w.dims.slice(1))),
};
