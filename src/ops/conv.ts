import { rule } from './gradient.js';
import type { InferenceContext, Known, Operator, TensorType } from './operator.js';
import { convBiasGradient, convDataGradient, convWeightGradient } from './support/conv-gradient.js';
import { convolutionOf } from './support/convolution.js';
import { shapeError } from './support/fail.js';
import { input, known } from './support/known.js';
import { showDims, sizeOf } from './support/layout.js';
import { convolvedDims, windowOf } from './support/window.js';

/**
 * Dims of a convolution of x [N, C, …] with w [M, C/group, …]: [N, M, …].
 * Throws SHAPE where the channels or the kernel do not fit.
 */
export function convDims(context: InferenceContext, x: readonly number[], w: readonly number[]): number[] {
  const { node } = context;
  const group = node.int('group', 1);
  if (x.length < 3 || x.length !== w.length) throw shapeError(`convolution of ${showDims(x)} with ${showDims(w)}`);
  if (x[1] !== w[1]! * group || w[0]! % group !== 0) {
    throw shapeError(`${x[1]} channels of ${showDims(x)} for weight ${showDims(w)} in ${group} groups`);
  }
  const kernel = node.ints('kernel_shape') ?? w.slice(2);
  if (kernel.some((size, i) => size !== w[i + 2])) {
    throw shapeError(`kernel_shape ${showDims(kernel)} for weight ${showDims(w)}`);
  }
  const spatial = x.slice(2);
  return [x[0]!, w[0]!, ...convolvedDims(spatial, windowOf(node, kernel, spatial.length))];
}

export function inferConv(context: InferenceContext): Known[] {
  const x = input(context, 0);
  return [known(x.dataType, convDims(context, x.dims, input(context, 1).dims))];
}

/** Every output element is a sum over C/group channels and the kernel: size(y) · Π w.dims[1…]. */
export function convMacs(w: TensorType | undefined, y: TensorType | undefined): number {
  return w === undefined || y === undefined ? 0 : sizeOf(y.dims) * sizeOf(w.dims.slice(1));
}

/**
 * Convolution (ai.onnx 1, 11, 22): group, strides, dilations, pads or auto_pad.
 * Multiply-accumulates: N · M · Π out · C/group · Π kernel.
 */
export const conv: Operator = {
  opType: 'Conv',
  domain: '',
  infer: inferConv,
  macs: (_, inputs, outputs) => convMacs(inputs[1], outputs[0]),
  gradient: rule(({ e, node, inputs: [x, w], gradients: [dy], needs }) => {
    const convolution = convolutionOf(e, node, x!, w!, dy!);
    return [
      needs[0] === true ? convDataGradient(e, convolution, w!, dy!) : undefined,
      needs[1] === true ? convWeightGradient(e, convolution, x!, dy!) : undefined,
      needs[2] === true ? convBiasGradient(e, dy!) : undefined,
    ];
  }),
};
