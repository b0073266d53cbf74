import { LowrankError } from '../../errors.js';
import type { Attribute } from '../../graph/attribute.js';
import { int, ints } from '../../graph/attributes.js';
import type { Graph } from '../../graph/graph.js';
import { type Model, opsetOf } from '../../graph/model.js';
import type { NodeSpec } from '../../graph/node.js';
import type { Value } from '../../graph/value.js';
import { FLOAT, INT64 } from '../../onnx/data-type.js';
import { Tensor } from '../../onnx/tensor.js';
import type { ShapeTable } from '../../ops/infer.js';
import { eliminateDeadNodes } from '../../passes/eliminate-dead-nodes.js';
import { runPasses } from '../../passes/runner.js';
import { kernelSizes } from '../../rewrite/geometry.js';
import { type FactorizableLayer, isConvolution } from '../../rewrite/layers.js';

/** What is asked of a layer, and at how many positions of each image. */
export interface ProbeRequest {
  readonly layer: FactorizableLayer;
  /** Positions for the moments of its patches; 0: none are asked for. */
  readonly momentPositions: number;
  /** Positions at which patches are taken as they are. */
  readonly inputPositions: number;
  /** A value that has the layer's output positions and channels, taken at the same positions as patches. */
  readonly observed?: Value | undefined;
  readonly observedPositions: number;
}

/** Positions that are drawn anew for every run. */
export interface PositionInput {
  /** int64 input: which columns. */
  readonly name: string;
  /** Positions of an image, and how many of them are drawn. */
  readonly perImage: number;
  readonly drawn: number;
}

/** The outputs that answer a request. */
export interface Probe {
  /** Name of the layer's node. */
  readonly layer: string;
  /** What people are shown of it. */
  readonly label: string;
  /** Numbers of a patch. */
  readonly size: number;
  readonly positions: { readonly moments: PositionInput | undefined; readonly samples: PositionInput | undefined };
  /** Positions per image that the moments are over. */
  readonly momentPositions: number;
  readonly samplePositions: number;
  /** float32 [size, size]: Σ xxᵀ. */
  readonly gram: string | undefined;
  /** float32 [size, 1]: Σ x. */
  readonly sum: string | undefined;
  /** float32 [positions, size]. */
  readonly inputs: string | undefined;
  /** float32 [positions, out]. */
  readonly observed: string | undefined;
}

/**
 * Gives a model other outputs: moments and samples of what its layers see, computed by onnxruntime, so that no activation
 * has to leave it. What they do not depend on is removed. Patches are in the order (in·kh + y)·kw + x.
 *
 * Patches of a convolution are another one: with one kernel per (channel, y, x) that is 1 there and 0 elsewhere, and the
 * layer's own strides, pads and dilations.
 */
export function addProbes(model: Model, shapes: ShapeTable, requests: readonly ProbeRequest[]): readonly Probe[] {
  const { graph } = model;
  for (const output of graph.outputs.splice(0)) output.isOutput = false;
  const probes = requests.map((request) => addProbe(model, shapes, request));
  runPasses(model, [eliminateDeadNodes]);
  return probes;
}

/** Positions of one image in a layer's output: columns of its patch matrix. */
export function positionsPerImage(layer: FactorizableLayer, batch: number): number {
  const { outputSize, batch: images } = layer.geometry;
  return Math.max(1, Math.floor((outputSize[0] * outputSize[1] * images) / batch));
}

function addProbe(model: Model, shapes: ShapeTable, request: ProbeRequest): Probe {
  const { graph } = model;
  const { layer, observed } = request;
  const build = builderOf(model, layer);
  const batch = isConvolution(layer.form) ? layer.geometry.batch : batchOf(graph, shapes);
  const perImage = positionsPerImage(layer, batch);
  const draw = (kind: string, wanted: number): PositionInput | undefined => {
    if (wanted === 0 || wanted >= perImage) return undefined;
    const name = graph.uniqueName(`${layer.name}.${kind}.positions`);
    graph.addInput(name, { dataType: INT64, dims: [`${name}.count`] });
    return { name, perImage, drawn: wanted };
  };
  const pick = (value: Value, input: PositionInput | undefined): Value =>
    input === undefined ? value : build('Gather', [value, graph.value(input.name)], { axis: int(1) });
  const output = (value: Value): string => {
    graph.addOutput(value, { dataType: FLOAT, dims: undefined });
    return value.name;
  };
  const sampled = Math.max(request.inputPositions, request.observedPositions);
  const positions = { moments: draw('moments', request.momentPositions), samples: draw('samples', sampled) };
  let [gram, sum, inputs, observedName]: (string | undefined)[] = [];
  const { kernel, in: channels } = layer.geometry;
  const size = channels * kernel[0] * kernel[1];
  if (request.momentPositions > 0 || request.inputPositions > 0) {
    const patches = patchesOf(build, layer, shapes);
    if (request.momentPositions > 0) {
      const chosen = pick(patches, positions.moments);
      const transposed = build('Transpose', [chosen], { perm: ints([1, 0]) });
      gram = output(build('MatMul', [chosen, transposed]));
      sum = output(sumOfColumns(build, model, chosen));
    }
    if (request.inputPositions > 0) {
      inputs = output(build('Transpose', [pick(patches, positions.samples)], { perm: ints([1, 0]) }));
    }
  }
  if (observed !== undefined) {
    const dims = shapes.require(observed).dims;
    const columns = channelsFirst(build, build.float(observed, shapes), dims.length, channelAxis(layer, dims.length));
    observedName = output(build('Transpose', [pick(columns, positions.samples)], { perm: ints([1, 0]) }));
  }
  return {
    layer: layer.name,
    label: layer.label,
    size,
    positions,
    momentPositions: Math.min(request.momentPositions, perImage),
    samplePositions: Math.min(sampled, perImage),
    gram,
    sum,
    inputs,
    observed: observedName,
  };
}

function batchOf(graph: Graph, shapes: ShapeTable): number {
  const images = graph.inputs.find((value) => value.tensor === undefined)!;
  return shapes.require(images).dims[0] ?? 1;
}

/** Adds a node and gives its output. */
interface Build {
  (opType: string, inputs: readonly (Value | undefined)[], attributes?: Readonly<Record<string, Attribute>>): Value;
  constant(make: (name: string) => Tensor): Value;
  float(value: Value, shapes: ShapeTable): Value;
}

function builderOf({ graph }: Model, layer: FactorizableLayer): Build {
  const add = (opType: string, inputs: NodeSpec['inputs'], attributes: NodeSpec['attributes'] = {}): Value => {
    const output = graph.addValue(graph.uniqueName(`${layer.name}.probe`));
    graph.addNode({ opType, inputs, outputs: [output], attributes, name: graph.uniqueNodeName(output.name) });
    return output;
  };
  return Object.assign(add, {
    constant: (make: (name: string) => Tensor): Value =>
      graph.addInitializer(make(graph.uniqueName(`${layer.name}.probe.constant`))),
    float: (value: Value, shapes: ShapeTable): Value =>
      shapes.require(value).dataType === FLOAT ? value : add('Cast', [value], { to: int(FLOAT) }),
  });
}

/** [channels, all others], where `axis` holds the channels. */
function channelsFirst(build: Build, value: Value, rank: number, axis: number): Value {
  const order = Array.from({ length: rank }, (_, at) => at);
  const perm = [axis, ...order.filter((at) => at !== axis)];
  const isOrdered = perm.every((at, index) => at === index);
  const first = isOrdered ? value : build('Transpose', [value], { perm: ints(perm) });
  if (rank === 2) return first;
  // 0: as it comes; −1: what is left.
  return build('Reshape', [first, build.constant((name) => Tensor.ofInts(name, [2], [0, -1]))]);
}

/** The axis of a layer's output that counts its neurons. */
export function channelAxis(layer: FactorizableLayer, rank: number): number {
  if (isConvolution(layer.form)) return 1;
  return layer.form === 'matmul-left' ? Math.max(0, rank - 2) : rank - 1;
}

/** [size, positions] */
function patchesOf(build: Build, layer: FactorizableLayer, shapes: ShapeTable): Value {
  const { node, form, geometry } = layer;
  const source = node.inputs[form === 'matmul-left' ? 1 : 0]!;
  const rank = shapes.require(source).dims.length;
  const input = build.float(source, shapes);
  switch (form) {
    case 'conv': {
      const area = geometry.kernel[0] * geometry.kernel[1];
      const isPlain =
        area === 1 &&
        (node.ints('strides') ?? []).every((stride) => stride === 1) &&
        (node.ints('pads') ?? []).every((pad) => pad === 0);
      if (isPlain) return channelsFirst(build, input, rank, 1);
      const count = geometry.in * area;
      const kernels = new Float32Array(count * area);
      for (let i = 0; i < count; i++) kernels[i * area + (i % area)] = 1;
      const dims = [count, 1, ...kernelSizes(geometry)];
      const weight = build.constant((name) => Tensor.ofFloats(name, dims, kernels));
      const attributes = { ...Object.fromEntries(node.attributes), group: int(geometry.in) };
      return channelsFirst(build, build('Conv', [input, weight], attributes), rank, 1);
    }
    case 'conv-transposed':
      throw new LowrankError('INTERNAL', `patches of the transposed convolution '${layer.label}'`);
    case 'gemm':
      return channelsFirst(build, input, rank, node.int('transA', 0) === 1 ? 0 : 1);
    case 'matmul-right':
      return channelsFirst(build, input, rank, rank - 1);
    case 'matmul-left':
      return channelsFirst(build, input, rank, Math.max(0, rank - 2));
  }
}

function sumOfColumns(build: Build, model: Model, value: Value): Value {
  return opsetOf(model) >= 13
    ? build('ReduceSum', [value, build.constant((name) => Tensor.ofInts(name, [1], [1]))], { keepdims: int(1) })
    : build('ReduceSum', [value], { axes: ints([1]), keepdims: int(1) });
}
