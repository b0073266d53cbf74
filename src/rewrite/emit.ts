import type { Attribute } from '../graph/attribute.js';
import type { Model } from '../graph/model.js';
import type { Node, NodeSpec } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { Tensor } from '../onnx/tensor.js';
import type { Scheme } from '../contracts/convert.js';
import type { FactorizableLayer } from './layers.js';
import type { PairKernels } from './layout.js';

/** The values of a pair's weights, which several layers may share. */
export interface PairWeights {
  readonly first: Value;
  readonly second: Value;
}

/**
 * Adds the weights of a pair as `<weight>.v` (applied first) and `<weight>.u`, in the element type of the original weight.
 * Models of IR 3 and before list every initializer among their inputs, so these are listed too.
 */
export function addPairWeights(model: Model, layer: FactorizableLayer, kernels: PairKernels): PairWeights {
  const { graph } = model;
  const base = layer.weight.tensor.name === '' ? layer.name : layer.weight.tensor.name;
  const { dataType } = layer.weight;
  const add = (suffix: string, kernel: PairKernels['first']): Value => {
    const name = graph.uniqueName(`${base}.${suffix}`);
    const value = graph.addInitializer(Tensor.ofFloats(name, kernel.dims, kernel.data, dataType));
    if (model.irVersion < 4) graph.addInput(name, { dataType, dims: kernel.dims });
    return value;
  };
  return { first: add('v', kernels.first), second: add('u', kernels.second) };
}

/** Replaces the layer's node by the two nodes of the pair; the second one keeps its output. Returns them in order. */
export function emitPair(model: Model, layer: FactorizableLayer, scheme: Scheme, weights: PairWeights): [Node, Node] {
  const { graph } = model;
  const { node } = layer;
  const weightValue = node.inputs[layer.weightInput]!;
  const [first, second] = graph
    .replaceNode(node, () => {
      const hidden = graph.addValue(graph.uniqueName(`${node.outputs[0]!.name}.lowrank`));
      return layer.form === 'conv'
        ? convPair(model, layer, scheme, weights, hidden)
        : productPair(model, layer, weights, hidden);
    })
    .slice(-2) as [Node, Node];
  graph.removeIfUnused(weightValue);
  return [first, second];
}

function names(model: Model, node: Node): { readonly first: string; readonly second: string } {
  const base = node.id;
  return { first: model.graph.uniqueNodeName(`${base}.v`), second: model.graph.uniqueNodeName(`${base}.u`) };
}

/** The attributes of the two convolutions of a pair, in order. */
export function pairAttributes(
  layer: FactorizableLayer,
  scheme: Scheme,
): readonly [Readonly<Record<string, Attribute>>, Readonly<Record<string, Attribute>>] {
  const { node } = layer;
  const [kh, kw] = layer.geometry.kernel;
  const [sh = 1, sw = 1] = node.ints('strides') ?? [];
  const [dh = 1, dw = 1] = node.ints('dilations') ?? [];
  const [top = 0, left = 0, bottom = 0, right = 0] = node.ints('pads') ?? [];
  const autoPad = node.string('auto_pad', 'NOTSET');
  const own = new Set(['kernel_shape', 'strides', 'dilations', 'pads', 'group', 'auto_pad']);
  const others = Object.fromEntries([...node.attributes].filter(([name]) => !own.has(name)));
  const attributes = (
    kernel: readonly [number, number],
    strides: readonly [number, number],
    dilations: readonly [number, number],
    pads: readonly [number, number, number, number],
  ): Record<string, Attribute> => ({
    ...others,
    kernel_shape: { type: 'ints', value: kernel },
    strides: { type: 'ints', value: strides },
    dilations: { type: 'ints', value: dilations },
    ...(autoPad === 'NOTSET'
      ? { pads: { type: 'ints', value: pads } }
      : { auto_pad: { type: 'string', value: autoPad } }),
    group: { type: 'int', value: 1 },
  });
  // spatial: width first, then height. channel: all of the window first, then a 1×1 convolution.
  return scheme === 'spatial'
    ? [
        attributes([1, kw], [1, sw], [1, dw], [0, left, 0, right]),
        attributes([kh, 1], [sh, 1], [dh, 1], [top, 0, bottom, 0]),
      ]
    : [
        attributes([kh, kw], [sh, sw], [dh, dw], [top, left, bottom, right]),
        attributes([1, 1], [1, 1], [1, 1], [0, 0, 0, 0]),
      ];
}

function convPair(
  model: Model,
  layer: FactorizableLayer,
  scheme: Scheme,
  weights: PairWeights,
  hidden: Value,
): readonly NodeSpec[] {
  const { node } = layer;
  const [firstAttributes, secondAttributes] = pairAttributes(layer, scheme);
  const name = names(model, node);
  const bias = node.inputs[2];
  return [
    {
      opType: 'Conv',
      name: name.first,
      inputs: [node.inputs[0], weights.first],
      outputs: [hidden],
      attributes: firstAttributes,
    },
    {
      opType: 'Conv',
      name: name.second,
      inputs: bias === undefined ? [hidden, weights.second] : [hidden, weights.second, bias],
      outputs: [node.outputs[0]],
      attributes: secondAttributes,
    },
  ];
}

function productPair(model: Model, layer: FactorizableLayer, weights: PairWeights, hidden: Value): readonly NodeSpec[] {
  const { node } = layer;
  const { graph } = model;
  const name = names(model, node);
  const output = node.outputs[0];
  if (layer.form === 'matmul-left') {
    return [
      { opType: 'MatMul', name: name.first, inputs: [weights.first, node.inputs[1]], outputs: [hidden] },
      { opType: 'MatMul', name: name.second, inputs: [weights.second, hidden], outputs: [output] },
    ];
  }
  if (layer.form === 'matmul-right') {
    return [
      { opType: 'MatMul', name: name.first, inputs: [node.inputs[0], weights.first], outputs: [hidden] },
      { opType: 'MatMul', name: name.second, inputs: [hidden, weights.second], outputs: [output] },
    ];
  }
  // Gemm: the first product is a MatMul, since Gemm needs a C before opset 11; alpha, beta, C and transB stay with the second.
  const specs: NodeSpec[] = [];
  let input = node.inputs[0];
  if (node.int('transA', 0) === 1) {
    const transposed = graph.addValue(graph.uniqueName(`${input!.name}.transposed`));
    specs.push({
      opType: 'Transpose',
      name: graph.uniqueNodeName(`${node.id}.transpose`),
      inputs: [input],
      outputs: [transposed],
      attributes: { perm: { type: 'ints', value: [1, 0] } },
    });
    input = transposed;
  }
  const attributes = Object.fromEntries([...node.attributes].filter(([key]) => key !== 'transA'));
  specs.push(
    { opType: 'MatMul', name: name.first, inputs: [input, weights.first], outputs: [hidden] },
    {
      opType: 'Gemm',
      name: name.second,
      inputs: [hidden, weights.second, ...node.inputs.slice(2)],
      outputs: [output],
      attributes,
    },
  );
  return specs;
}
