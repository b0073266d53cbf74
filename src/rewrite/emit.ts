import type { Attribute } from '../graph/attribute.js';
import type { Model } from '../graph/model.js';
import type { Node, NodeSpec } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { Tensor } from '../onnx/tensor.js';
import type { Scheme } from '../contracts/convert.js';
import { alongWindow, factorKernels } from './geometry.js';
import type { FactorizableLayer } from './layers.js';
import type { Kernel } from './layout.js';
import { schemes } from './schemes/index.js';
import type { SchemeFactor } from './schemes/scheme.js';

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
  switch (form) {
    case 'conv':
      return {
        opType: 'Conv',
        inputs: isLast && node.inputs[2] !== undefined ? [input, weight, node.inputs[2]] : [input, weight],
        attributes: factorAttributes(layer, scheme)[at]!,
      };
    case 'matmul-left':
      return { opType: 'MatMul', inputs: [weight, input] };
    case 'matmul-right':
      return { opType: 'MatMul', inputs: [input, weight] };
    case 'gemm': {
      // The others are MatMuls, since Gemm needs a C before opset 11; alpha, beta, C and transB stay with the last.
      if (!isLast) return { opType: 'MatMul', inputs: [input, weight] };
      const attributes = Object.fromEntries([...node.attributes].filter(([key]) => key !== 'transA'));
      return { opType: 'Gemm', inputs: [input, weight, ...node.inputs.slice(2)], attributes };
    }
  }
}

/** The attributes of the convolutions of a scheme's factors, in order. */
export function factorAttributes(
  { node, geometry }: FactorizableLayer,
  scheme: Scheme,
): readonly Readonly<Record<string, Attribute>>[] {
  const [sh = 1, sw = 1] = node.ints('strides') ?? [];
  const [dh = 1, dw = 1] = node.ints('dilations') ?? [];
  const [top = 0, left = 0, bottom = 0, right = 0] = node.ints('pads') ?? [];
  const autoPad = node.string('auto_pad', 'NOTSET');
  const own = new Set(['kernel_shape', 'strides', 'dilations', 'pads', 'group', 'auto_pad']);
  const others = Object.fromEntries([...node.attributes].filter(([name]) => !own.has(name)));
  const kernels = factorKernels(geometry, scheme);
  const paddingOf = (window: SchemeFactor['window']): Record<string, Attribute> => {
    if (autoPad !== 'NOTSET') return { auto_pad: { type: 'string', value: autoPad } };
    const [before, after] = [alongWindow(window, [top, left], [0, 0]), alongWindow(window, [bottom, right], [0, 0])];
    return { pads: { type: 'ints', value: [...before, ...after] } };
  };
  return schemes[scheme].factors.map(({ window }, at) =>
    Object.assign(
      {},
      others,
      {
        kernel_shape: { type: 'ints', value: kernels[at]! },
        strides: { type: 'ints', value: alongWindow(window, [sh, sw], [1, 1]) },
        dilations: { type: 'ints', value: alongWindow(window, [dh, dw], [1, 1]) },
      } satisfies Record<string, Attribute>,
      paddingOf(window),
      { group: { type: 'int', value: 1 } } satisfies Record<string, Attribute>,
    ),
  );
}
