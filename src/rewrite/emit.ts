import type { Attribute } from '../graph/attribute.js';
import type { Model } from '../graph/model.js';
import type { Node, NodeSpec } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { Tensor } from '../onnx/tensor.js';
import type { Scheme } from '../contracts/convert.js';
import { factorKernelSizes, hasAxis } from './geometry.js';
import { type FactorizableLayer, isConvolution } from './layers.js';
import type { Kernel } from './layout.js';
import { idleWindow, transposedWindows } from './pair-window.js';
import { schemes } from './schemes/index.js';

/**
 * Adds the weights of a layer's factors in the element type of the original weight, each by its mark: of two `<weight>.v`, which is
 * applied first, and `<weight>.u`. Models of IR 3 and before list every initializer among their inputs, so these are listed too.
 */
export function addFactorWeights(
  model: Model,
  layer: FactorizableLayer,
  scheme: Scheme,
  kernels: readonly Kernel[],
): readonly Value[] {
  const { graph } = model;
  const base = layer.weight.tensor.name === '' ? layer.name : layer.weight.tensor.name;
  const { dataType } = layer.weight;
  return schemes[scheme].factors.map(({ mark }, at) => {
    const { dims, data } = kernels[at]!;
    const name = graph.uniqueName(`${base}.${mark}`);
    const value = graph.addInitializer(Tensor.ofFloats(name, dims, data, dataType));
    if (model.irVersion < 4) graph.addInput(name, { dataType, dims });
    return value;
  });
}

/** Replaces the layer's node by one for each factor; the last one keeps its output. Returns them in order. */
export function emitFactors(
  model: Model,
  layer: FactorizableLayer,
  scheme: Scheme,
  weights: readonly Value[],
): readonly Node[] {
  const { graph } = model;
  const { node } = layer;
  const weightValue = node.inputs[layer.weightInput]!;
  const nodes = graph
    .replaceNode(node, () => {
      const hidden = weights.slice(1).map(() => graph.addValue(graph.uniqueName(`${node.outputs[0]!.name}.lowrank`)));
      const names = schemes[scheme].factors.map(({ mark }) => graph.uniqueNodeName(`${node.id}.${mark}`));
      const { before, input } = inputOf(model, layer);
      const last = weights.length - 1;
      return [
        ...before,
        ...weights.map((weight, at): NodeSpec => ({
          name: names[at]!,
          ...factorNode(layer, scheme, at, at === 0 ? input : hidden[at - 1]!, weight),
          outputs: [at === last ? node.outputs[0] : hidden[at]],
        })),
      ];
    })
    .slice(-weights.length);
  graph.removeIfUnused(weightValue);
  return nodes;
}

/** What the first factor reads, and what must be put before it. */
function inputOf(
  { graph }: Model,
  { node, weightInput, form }: FactorizableLayer,
): { readonly before: readonly NodeSpec[]; readonly input: Value | undefined } {
  const input = node.inputs[1 - weightInput];
  if (form !== 'gemm' || node.int('transA', 0) !== 1) return { before: [], input };
  const transposed = graph.addValue(graph.uniqueName(`${input!.name}.transposed`));
  return {
    before: [
      {
        opType: 'Transpose',
        name: graph.uniqueNodeName(`${node.id}.transpose`),
        inputs: [input],
        outputs: [transposed],
        attributes: { perm: { type: 'ints', value: [1, 0] } },
      },
    ],
    input: transposed,
  };
}

/** The node that applies factor `at` to `input`, which a Gemm's first factor reads as `transA` leaves it. The last one adds the bias. */
function factorNode(
  layer: FactorizableLayer,
  scheme: Scheme,
  at: number,
  input: Value | undefined,
  weight: Value,
): Pick<NodeSpec, 'opType' | 'inputs' | 'attributes'> {
  const { node, form } = layer;
  const isLast = at === schemes[scheme].factors.length - 1;
  if (isConvolution(form)) {
    const inputs = isLast && node.inputs[2] !== undefined ? [input, weight, node.inputs[2]] : [input, weight];
    return { ...factorConvolutions(layer, scheme)[at]!, inputs };
  }
  if (form === 'matmul-left') return { opType: 'MatMul', inputs: [weight, input] };
  // The others of a Gemm are MatMuls, since Gemm needs a C before opset 11; alpha, beta, C and transB stay with the last.
  if (form === 'matmul-right' || !isLast) return { opType: 'MatMul', inputs: [input, weight] };
  const attributes = Object.fromEntries([...node.attributes].filter(([key]) => key !== 'transA'));
  return { opType: 'Gemm', inputs: [input, weight, ...node.inputs.slice(2)], attributes };
}

/** Operators and attributes of a scheme's factors of a convolution, in the order in which they are applied. */
export function factorConvolutions(
  layer: FactorizableLayer,
  scheme: Scheme,
): readonly { readonly opType: string; readonly attributes: Readonly<Record<string, Attribute>> }[] {
  if (layer.form === 'conv-transposed') return transposedFactors(layer, scheme);
  const { node, geometry, group } = layer;
  const kernels = factorKernelSizes(geometry, scheme);
  const count = kernels[0]!.length;
  const list = (name: string, length: number, fallback: number): readonly number[] =>
    node.ints(name) ?? Array.from({ length }, () => fallback);
  const [strides, dilations] = [list('strides', count, 1), list('dilations', count, 1)];
  const pads = list('pads', 2 * count, 0);
  const autoPad = node.string('auto_pad', 'NOTSET');
  return schemes[scheme].factors.map(({ window }, at) => {
    const along = (own: readonly number[], other: number): readonly number[] =>
      own.map((value, axis) => (hasAxis(window, axis % count) ? value : other));
    const padding: Attribute =
      autoPad === 'NOTSET' ? { type: 'ints', value: along(pads, 0) } : { type: 'string', value: autoPad };
    const attributes = Object.assign(
      {},
      attributesBesideWindow(node),
      {
        kernel_shape: { type: 'ints', value: kernels[at]! },
        strides: { type: 'ints', value: along(strides, 1) },
        dilations: { type: 'ints', value: along(dilations, 1) },
      } satisfies Record<string, Attribute>,
      { [autoPad === 'NOTSET' ? 'pads' : 'auto_pad']: padding },
      { group: { type: 'int', value: group } } satisfies Record<string, Attribute>,
    );
    return { opType: 'Conv', attributes };
  });
}

/** Those of a transposed convolution: a factor without a window is a convolution. */
function transposedFactors(layer: FactorizableLayer, scheme: Scheme): ReturnType<typeof factorConvolutions> {
  const windows = transposedWindows(layer);
  const ints = (value: readonly number[]): Attribute => ({ type: 'ints', value });
  const factors = schemes[scheme].factors.map(({ window }) => {
    const own = windows.map((axis, at) => (hasAxis(window, at) ? axis : idleWindow));
    const isTransposed = own.some(({ kernel }) => kernel > 1);
    const padding = own.map(({ outputPadding }) => outputPadding);
    const attributes = {
      ...attributesBesideWindow(layer.node),
      kernel_shape: ints(own.map(({ kernel }) => kernel)),
      strides: ints(own.map(({ stride }) => stride)),
      dilations: ints(own.map(({ dilation }) => dilation)),
      pads: ints([...own.map(({ before }) => before), ...own.map(({ after }) => after)]),
      ...(isTransposed && padding.some((size) => size > 0) ? { output_padding: ints(padding) } : {}),
      group: { type: 'int', value: 1 } satisfies Attribute,
    };
    return { opType: isTransposed ? 'ConvTranspose' : 'Conv', attributes };
  });
  return factors.reverse();
}

const windowNames = new Set([
  ...['kernel_shape', 'strides', 'dilations', 'pads', 'group', 'auto_pad'],
  ...['output_padding', 'output_shape'],
]);

/** Those that say nothing of the window. */
export function attributesBesideWindow(node: Node): Record<string, Attribute> {
  return Object.fromEntries([...node.attributes].filter(([name]) => !windowNames.has(name)));
}
