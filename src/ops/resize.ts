import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import type { Emitter } from './emitter.js';
import { rule } from './gradient.js';
import type { InferenceContext, Operator } from './operator.js';
import { shapeError, unsupported } from './support/fail.js';
import { type Given, givenInput, input, known } from './support/known.js';
import { normalizeAxes, showDims } from './support/layout.js';
import { adjointAlong, isIdentity } from './support/linear-map.js';
import { scaledDims } from './support/resize.js';
import { type ResizedAxis, resizeMap } from './support/resize-map.js';

const isEmpty = (given: Given): boolean => given === 'absent' || given.length === 0;

/** sizes, with keep_aspect_ratio_policy (ai.onnx 18) one scale for all axes, halves rounded up. */
function sizesToDims(context: InferenceContext, dims: readonly number[], sizes: readonly number[]): number[] {
  const policy = context.node.string('keep_aspect_ratio_policy', 'stretch');
  if (sizes.length !== dims.length) throw shapeError(`sizes ${showDims(sizes)} for ${showDims(dims)}`);
  if (policy === 'stretch') return [...sizes];
  const ratios = sizes.map((size, i) => Math.fround(size / dims[i]!));
  const scale = policy === 'not_larger' ? Math.min(...ratios) : Math.max(...ratios);
  return dims.map((dim) => Math.floor(Math.fround(scale * dim) + 0.5));
}

/** Every axis of x, resized or not. The scale is the one given; where sizes are given, the ratio of the sizes. */
function resizedAxes(e: Emitter, node: Node, inputs: readonly (Value | undefined)[], dy: Value): ResizedAxis[] {
  const dims = e.dims(inputs[0]!);
  const axes = normalizeAxes(node.ints('axes') ?? dims.map((_, i) => i), dims.length);
  const scales = inputs[2] === undefined ? [] : (e.typeOf(inputs[2]).constant ?? []);
  const sizes = inputs[3] === undefined ? undefined : e.typeOf(inputs[3]).constant;
  const ratios = axes.map((axis, i) => Math.fround((sizes?.[i] ?? e.dims(dy)[axis]!) / dims[axis]!));
  const policy = node.string('keep_aspect_ratio_policy', 'stretch');
  const common = policy === 'not_larger' ? Math.min(...ratios) : Math.max(...ratios);
  const given = scales.length > 0 ? scales : policy === 'stretch' ? ratios : ratios.map(() => common);
  return dims.map((input, axis) => {
    const i = axes.indexOf(axis);
    return { input, output: e.dims(dy)[axis]!, scale: i < 0 ? 1 : given[i]! };
  });
}

/**
 * x resized by scales or to sizes (ai.onnx 10; roi, scales, sizes since 11; axes and keep_aspect_ratio_policy since 18).
 * A scaled side is ⌊size · scale⌋: onnxruntime leaves roi out of it even with tf_crop_and_resize, whatever ONNX says.
 */
export const resize: Operator = {
  opType: 'Resize',
  domain: '',
  settings: [1, 2, 3],
  infer: (context) => {
    const { node, opset } = context;
    const x = input(context, 0);
    const axes = normalizeAxes(node.ints('axes') ?? x.dims.map((_, i) => i), x.dims.length);
    const chosen = axes.map((axis) => x.dims[axis]!);
    const place = (values: readonly number[]): number[] => {
      const dims = [...x.dims];
      axes.forEach((axis, i) => (dims[axis] = values[i]!));
      return dims;
    };
    const scales = givenInput(context, opset < 11 ? 1 : 2);
    const sizes = opset < 11 ? 'absent' : givenInput(context, 3);
    if (scales === 'unknown' || sizes === 'unknown') return undefined;
    if (!isEmpty(sizes)) return [known(x.dataType, place(sizesToDims(context, chosen, sizes as readonly number[])))];
    if (isEmpty(scales)) throw shapeError('Resize with neither scales nor sizes');
    return [known(x.dataType, place(scaledDims(chosen, scales as readonly number[])))];
  },
  gradient: rule(({ e, node, inputs, gradients: [dy] }) => {
    const axes = resizedAxes(e, node, inputs, dy!);
    return [
      axes.reduceRight((gradient, one, axis) => {
        const map = resizeMap(node, one);
        if (isIdentity(map)) return gradient;
        if (axis === 0) throw unsupported(node, 'Resize of the batch has no gradient');
        return adjointAlong(e, gradient, axis, map);
      }, dy!),
    ];
  }),
};
