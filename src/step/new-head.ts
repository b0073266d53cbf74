import { LowrankError } from '../errors.js';
import { int } from '../graph/attributes.js';
import type { Graph } from '../graph/graph.js';
import type { Model } from '../graph/model.js';
import type { Node } from '../graph/node.js';
import { readModel } from '../graph/read.js';
import type { Value } from '../graph/value.js';
import { modelBytes } from '../graph/write.js';
import { dataTypeName, FLOAT } from '../onnx/data-type.js';
import { Tensor } from '../onnx/tensor.js';
import { inferShapes, type ShapeTable } from '../ops/infer.js';
import { resolveWeight } from '../ops/resolve-weight.js';
import { sizeOf } from '../ops/support/layout.js';
import { staticTensor } from '../ops/support/static-numbers.js';
import { fillTruncatedNormal, randomStream, truncatedDeviation } from '../random.js';
import { type ClassifierEnd, endOfModel } from '../passes/classifier-end.js';

/** A model with another last layer. */
export interface NewHead {
  readonly bytes: Uint8Array;
  readonly warnings: readonly string[];
}

/**
 * The model with a fresh last layer, dense or a convolution, of `classes` outputs: weights truncated normal with variance
 * 1/fan-in, biases zero. A Sigmoid at the end becomes a Softmax where every image has one class; where they have several
 * (`hasSeveral`), the end becomes a Sigmoid. Throws UNSUPPORTED where there is no such layer.
 */
export function withNewHead(path: string, classes: number, seed: number, hasSeveral = false): NewHead {
  const model = readModel(path);
  try {
    const warnings = replaceHead(model, classes, seed, hasSeveral);
    return { bytes: modelBytes(model), warnings };
  } finally {
    model.file?.close();
  }
}

/** What the classes go through from their layer to the logits, one number for each; the operands are biases and scales. */
const passed = new Set([
  ...['Identity', 'Cast', 'Dropout', 'Flatten', 'Reshape', 'Squeeze', 'Unsqueeze', 'Transpose'],
  ...[
    'Add',
    'Sub',
    'Mul',
    'Div',
    'Relu',
    'LeakyRelu',
    'Clip',
    'GlobalAveragePool',
    'AveragePool',
    'GlobalMaxPool',
    'ReduceMean',
  ],
]);

const layers = new Set(['Gemm', 'MatMul', 'Conv']);

function replaceHead(model: Model, classes: number, seed: number, hasSeveral: boolean): readonly string[] {
  const { graph } = model;
  const shapes = inferShapes(model);
  const end = endOfModel(model, shapes);
  const old = classesIn(shapes, end.logits) ?? noHead(end.logits.producer, 'its outputs are not one number per class');
  /** What has the classes in its shape: what the layer computes and what is made of it. */
  const behind = [...classValues(graph.outputs[0]!, end.logits)];
  const operands: { readonly node: Node; readonly index: number }[] = [];
  for (const { producer } of behind) if (producer?.is('Reshape') === true) operands.push({ node: producer, index: 1 });
  let value = end.logits;
  let layer: Node | undefined;
  while (layer === undefined) {
    behind.push(value);
    const node = value.producer;
    if (node === undefined) noHead(undefined, 'its outputs are computed without a dense layer');
    if (node.domain === '' && layers.has(node.opType)) {
      layer = node;
      break;
    }
    if (node.domain !== '' || !passed.has(node.opType)) {
      const isFunction = model.functions.includes(`${node.domain}:${node.opType}`);
      noHead(node, isFunction ? 'it ends in a function of the model' : `it ends in ${node.opType}`);
    }
    const data = node.inputs.findIndex((input) => input !== undefined && staticTensor(input) === undefined);
    if (data < 0) noHead(node, 'its outputs do not depend on a layer');
    node.inputs.forEach((input, index) => {
      if (input !== undefined && index !== data) operands.push({ node, index });
    });
    value = node.inputs[data]!;
  }
  const width = layerWidth(layer, shapes);
  if (width !== old) noHead(layer, `it has ${width ?? 'an unknown number of'} outputs for ${old} classes`);
  setWeight(graph, layer, classes, seed);
  if (!layer.is('MatMul') && layer.inputs[2] !== undefined) operands.push({ node: layer, index: 2 });
  for (const { node, index } of operands) setOperand(graph, node, index, old, classes, shapes);
  for (const held of behind) redeclare(held, old, classes);
  if (end.kind === 'sigmoid' && !hasSeveral) {
    return [endFor(graph, end, shapes, 'Softmax', 'every image has one class')];
  }
  return end.kind !== 'sigmoid' && hasSeveral
    ? [endFor(graph, end, shapes, 'Sigmoid', 'images have several classes each')]
    : [];
}

/** The number of classes in the shape [batch, classes] of a value, maybe with axes of 1. */
function classesIn(shapes: ShapeTable, value: Value): number | undefined {
  const long = shapes
    .typeOf(value)
    ?.dims.slice(1)
    .filter((dim) => dim > 1);
  return long?.length === 1 ? long[0] : undefined;
}

/** Values between the logits and the output, the output first. */
function classValues(output: Value, logits: Value): Set<Value> {
  const found = new Set<Value>();
  const open = [output];
  for (let value = open.pop(); value !== undefined && value !== logits; value = open.pop()) {
    if (found.has(value) || value.producer === undefined) continue;
    found.add(value);
    for (const input of value.producer.inputs) if (input !== undefined) open.push(input);
  }
  return found;
}

/** Outputs of a layer, per position. */
function layerWidth(layer: Node, shapes: ShapeTable): number | undefined {
  const dims = shapes.typeOf(layer.outputs[0]!)?.dims;
  return layer.is('Conv') ? dims?.[1] : dims?.at(-1);
}

/** A weight of its own for the layer, stored as the layer reads it, under the old name where nobody else reads that. */
function setWeight(graph: Graph, layer: Node, classes: number, seed: number): void {
  const value = layer.inputs[1];
  const weight = value === undefined ? undefined : resolveWeight(graph, value);
  if (value === undefined || weight === undefined) noHead(layer, 'its weight is not stored');
  if (layer.is('Conv') && layer.int('group', 1) !== 1) noHead(layer, 'it is a grouped convolution');
  if (weight.dataType !== FLOAT) noHead(layer, `its weight is ${dataTypeName(weight.dataType)}`);
  const isOutputFirst = layer.is('Conv') || (layer.is('Gemm') && layer.int('transB', 0) === 1);
  if (!layer.is('Conv') && weight.dims.length !== 2) noHead(layer, 'its weight is no matrix');
  const dims = isOutputFirst ? [classes, ...weight.dims.slice(1)] : [weight.dims[0]!, classes];
  const fanIn = isOutputFirst ? sizeOf(dims.slice(1)) : dims[0]!;
  const data = new Float32Array(sizeOf(dims));
  fillTruncatedNormal(randomStream(seed, weight.source.name), data, 0, 1 / Math.sqrt(fanIn) / truncatedDeviation);
  // A matrix that is stored the other way round, for this layer alone, stays so.
  const isSwapped = weight.chain.length === 1 && weight.chain[0]!.is('Transpose') && dims.length === 2;
  const isAlone = [value, weight.source].every(({ uses, isOutput }) => uses.length === 1 && !isOutput);
  const isPlace = weight.source.tensor !== undefined && isAlone && (weight.chain.length === 0 || isSwapped);
  if (isPlace) {
    const stored = isSwapped ? transposed(data, dims[0]!, dims[1]!) : data;
    const storedDims = isSwapped ? [dims[1]!, dims[0]!] : dims;
    graph.setTensor(weight.source, Tensor.ofFloats(weight.source.name, storedDims, stored));
  } else {
    putInput(graph, layer, 1, Tensor.ofFloats(graph.uniqueName(`${weight.source.name}.head`), dims, data));
  }
}

function transposed(data: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(data.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) result[column * rows + row] = data[row * columns + column]!;
  }
  return result;
}

/** An operand that has the classes in its shape: zeros of the new number, ones where it multiplies; the shape of a Reshape. */
function setOperand(graph: Graph, node: Node, index: number, old: number, classes: number, shapes: ShapeTable): void {
  const value = node.inputs[index]!;
  const tensor = staticTensor(value)?.tensor;
  if (tensor === undefined) noHead(node, `its input '${value.name}' is not stored`);
  if (node.is('Reshape')) {
    const target = [...tensor.toNumbers()];
    const at = shapes.typeOf(node.outputs[0]!)?.dims.findIndex((dim, axis) => axis > 0 && dim > 1) ?? -1;
    if (at < 0 || target[at] !== old) return;
    target[at] = classes;
    putInput(graph, node, index, Tensor.ofInts(graph.uniqueName(`${value.name}.head`), [target.length], target));
    return;
  }
  if (tensor.dataType !== FLOAT || tensor.size < 2) return;
  if (tensor.size !== old) noHead(node, `its operand '${value.name}' is [${tensor.dims.join(', ')}]`);
  const dims = tensor.dims.map((dim) => (dim === old ? classes : dim));
  const data = new Float32Array(classes).fill(node.is('Mul') || node.is('Div') ? 1 : 0);
  if (value.tensor !== undefined && value.uses.length === 1 && !value.isOutput) {
    graph.setTensor(value, Tensor.ofFloats(value.name, dims, data));
  } else putInput(graph, node, index, Tensor.ofFloats(graph.uniqueName(`${value.name}.head`), dims, data));
}

function putInput(graph: Graph, node: Node, index: number, tensor: Tensor): void {
  const old = node.inputs[index]!;
  graph.setInput(node, index, graph.addInitializer(tensor));
  graph.removeIfUnused(old);
}

function redeclare(value: Value, old: number, classes: number): void {
  const { declared } = value;
  if (declared?.dims === undefined) return;
  const dims = declared.dims.map((dim, axis) => (axis > 0 && dim === old ? classes : dim));
  value.declared = { dataType: declared.dataType, dims };
  value.info = undefined;
}

/** Puts another end behind the logits: classes that exclude each other are told by a Softmax, others one by one. */
function endFor(
  graph: Graph,
  { node, logits }: ClassifierEnd,
  shapes: ShapeTable,
  opType: 'Softmax' | 'Sigmoid',
  why: string,
): string {
  const axis = shapes.require(logits).dims.findIndex((dim, i) => i > 0 && dim > 1);
  const attributes = opType === 'Softmax' ? { axis: int(axis) } : {};
  if (node === undefined) {
    const { name, declared } = logits;
    const old = graph.addValue(graph.uniqueName(`${name}.logits`));
    const producer = logits.producer!;
    const outputs = producer.outputs.map((output) => (output === logits ? old : output));
    const { opType: kind, domain, name: label, inputs } = producer;
    const copy = { opType: kind, domain, name: label, inputs: [...inputs], outputs };
    graph.replaceNode(producer, () => [
      { ...copy, attributes: Object.fromEntries(producer.attributes) },
      { opType, name: graph.uniqueNodeName(`${name}.end`), inputs: [old], outputs: [logits], attributes },
    ]);
    logits.declared = declared;
    return `the new head ends in a ${opType}: ${why}`;
  }
  const { label, name } = node;
  const [output] = node.outputs;
  const read = [...node.inputs];
  graph.replaceNode(node, () => [{ opType, name, inputs: [logits], outputs: [output], attributes }]);
  for (const input of read) if (input !== undefined && input !== logits) graph.removeIfUnused(input);
  return `${label} of the old head is a ${opType} in the new one: ${why}`;
}

function noHead(node: Node | undefined, why: string): never {
  throw new LowrankError('UNSUPPORTED', `the model does not end in a layer that could be replaced: ${why}`, {
    ...(node === undefined ? {} : { place: node.label }),
    remedy: 'give images of the classes that the model has, or export it with another head',
  });
}
