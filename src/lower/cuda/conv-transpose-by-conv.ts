import { int, ints } from '../../graph/attributes.js';
import type { Graph } from '../../graph/graph.js';
import type { Node, NodeSpec } from '../../graph/node.js';
import type { Value } from '../../graph/value.js';
import { Tensor } from '../../onnx/tensor.js';
import type { TensorType } from '../../ops/operator.js';
import { windowOf } from '../../ops/support/window.js';
import { replacementOf } from '../../passes/replacement.js';
import type { Pass } from '../../passes/runner.js';

/** The largest distance that Slice may go back. */
const farBack = -(2 ** 31);

/**
 * ConvTranspose whose weight is computed becomes Conv: of x with stride − 1 zeros behind each element, with the flipped
 * kernel whose input and output channels are exchanged, and with d(k − 1) − pad zeros around it (Dumoulin and Visin, arXiv
 * 1603.07285, section 4). A kernel of one element is applied before the zeros come in. With `prefer_nhwc` onnxruntime's
 * CUDA provider takes constant weights of ConvTranspose alone; the price is stride² times the multiply-accumulates.
 */
export const convTransposeByConv: Pass = {
  name: 'conv-transpose-by-conv',
  summary: 'ConvTranspose of a computed weight becomes Conv of an input with zeros between its elements',
  run: (model, { shapes, refuse }) => {
    let changes = 0;
    for (const node of model.graph.nodes.filter((candidate) => candidate.is('ConvTranspose'))) {
      if (node.inputs[1]!.tensor !== undefined) continue;
      const x = shapes.typeOf(node.inputs[0]!);
      const w = shapes.typeOf(node.inputs[1]!);
      if (x === undefined || w === undefined) refuse(node, 'its shape is not known');
      else if (node.string('auto_pad', 'NOTSET') !== 'NOTSET') refuse(node, 'its padding is automatic');
      else if (node.ints('output_shape') !== undefined) refuse(node, 'its padding follows from output_shape');
      else {
        model.graph.replaceNode(node, () => byConv(model.graph, node, x, w));
        changes++;
      }
    }
    return changes;
  },
};

function byConv(graph: Graph, node: Node, x: TensorType, w: TensorType): readonly NodeSpec[] {
  const [, channels, ...input] = x.dims as [number, number, ...number[]];
  const [, perGroup, ...kernel] = w.dims as [number, number, ...number[]];
  const group = node.int('group', 1);
  const { strides, dilations, pads } = windowOf(node, kernel, kernel.length);
  const outputPadding = node.ints('output_padding') ?? input.map(() => 0);
  const reach = kernel.map((size, axis) => dilations[axis]! * (size - 1));
  const before = reach.map((size, axis) => size - pads[axis]!);
  // The last element has stride − 1 zeros behind it, too.
  const after = reach.map(
    (size, axis) => size - pads[input.length + axis]! + outputPadding[axis]! - (strides[axis]! - 1),
  );

  const { specs, emit } = replacementOf(graph, node, 'conv');
  const vector = (values: readonly number[]): Value =>
    graph.addInitializer(Tensor.ofInts(graph.uniqueName(`${node.id}.numbers`), [values.length], values));
  const slice = (value: Value, starts: readonly number[], ends: readonly number[], step: 1 | -1): Value => {
    const axes = starts.map((_, axis) => axis + 2);
    return emit('Slice', [value, ...[starts, ends, axes, axes.map(() => step)].map(vector)]);
  };

  const flipped = (): Value => {
    const axes = kernel.map(() => -1);
    const isPoint = kernel.every((size) => size === 1);
    const weight = isPoint
      ? node.inputs[1]!
      : slice(
          node.inputs[1]!,
          axes,
          axes.map(() => farBack),
          -1,
        );
    const rest = kernel.map((_, axis) => axis);
    if (group === 1) return emit('Transpose', [weight], { perm: ints([1, 0, ...rest.map((axis) => axis + 2)]) });
    const split = emit('Reshape', [weight, vector([group, channels / group, perGroup, ...kernel])]);
    const exchanged = emit('Transpose', [split], { perm: ints([0, 2, 1, ...rest.map((axis) => axis + 3)]) });
    return emit('Reshape', [exchanged, vector([group * perGroup, channels / group, ...kernel])]);
  };
  /** [N, C, …] with stride − 1 zeros behind each element, and cut where the padding is negative. */
  const spread = (value: Value, depth: number): Value => {
    let result = value;
    if (strides.some((stride) => stride > 1)) {
      const apart = emit('Reshape', [value, vector([0, depth, ...input.flatMap((size) => [size, 1])])]);
      const ends = [0, 0, ...strides.flatMap((stride) => [0, stride - 1])];
      const padded = emit('Pad', [apart, vector([...ends.map(() => 0), ...ends])]);
      result = emit('Reshape', [padded, vector([0, depth, ...input.map((size, axis) => size * strides[axis]!)])]);
    }
    if ([...before, ...after].every((size) => size >= 0)) return result;
    const starts = before.map((size) => Math.max(0, -size));
    const ends = after.map((size, axis) => input[axis]! * strides[axis]! - Math.max(0, -size));
    return slice(result, starts, ends, 1);
  };

  const bias = node.inputs[2];
  const around = [...before, ...after].map((size) => Math.max(0, size));
  const weight = flipped();
  const convolve = (value: Value, padding: readonly number[]): Value =>
    emit('Conv', [value, weight, ...(bias === undefined ? [] : [bias])], {
      ...{ group: int(group), dilations: ints(dilations), pads: ints(padding), kernel_shape: ints(kernel) },
    });
  const isFirst = bias === undefined && reach.every((size) => size === 0) && around.every((size) => size === 0);
  if (isFirst) spread(convolve(node.inputs[0]!, around), group * perGroup);
  else convolve(spread(node.inputs[0]!, channels), around);
  const last = specs.pop()!;
  return [...specs, { ...last, outputs: [node.outputs[0]] }];
}
