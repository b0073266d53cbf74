import { LowrankError } from '../errors.js';
import type { Model } from '../graph/model.js';
import type { Node } from '../graph/node.js';
import { readModel } from '../graph/read.js';
import type { Value } from '../graph/value.js';
import { modelBytes } from '../graph/write.js';
import { Tensor } from '../onnx/tensor.js';
import { resolveWeight } from '../ops/resolve-weight.js';
import { fillTruncatedNormal, randomStream, truncatedDeviation } from '../random.js';

/**
 * The model with a fresh last dense layer of `classes` outputs: weights truncated normal with variance 1/fan-in, biases
 * zero. Throws UNSUPPORTED where the last layer is no Gemm or MatMul with a stored weight.
 */
export function withNewHead(path: string, classes: number, seed: number): Uint8Array {
  const model = readModel(path);
  try {
    replaceHead(model, classes, seed);
    return modelBytes(model);
  } finally {
    model.file?.close();
  }
}

const passed = new Set(['Softmax', 'LogSoftmax', 'Identity', 'Add', 'Flatten', 'Reshape', 'Squeeze']);

function replaceHead(model: Model, classes: number, seed: number): void {
  const { graph } = model;
  const biases: Value[] = [];
  /** What has the classes in its shape: what the layer computes and what is made of it. */
  const behind: Value[] = [];
  let value = graph.outputs[0]!;
  let layer: Node | undefined;
  while (layer === undefined) {
    behind.push(value);
    const node = value.producer;
    if (node?.is('Gemm') === true || node?.is('MatMul') === true) {
      layer = node;
      break;
    }
    const next = node?.inputs.find((input) => input?.tensor === undefined);
    if (node === undefined || !passed.has(node.opType) || next === undefined) throw noHead(node);
    if (node.is('Add')) biases.push(...node.inputs.filter((input): input is Value => input?.tensor !== undefined));
    value = next;
  }
  const weight = layer.inputs[1] === undefined ? undefined : resolveWeight(graph, layer.inputs[1]);
  if (weight?.source.tensor === undefined) throw noHead(layer);
  const isOutputFirst = layer.int('transB', 0) === 1;
  const isSwapped = weight.chain.filter((node) => node.is('Transpose')).length % 2 === 1;
  const isStoredOutputFirst = isOutputFirst !== isSwapped;
  const [rows, columns] = weight.tensor.dims as [number, number];
  const inputs = isStoredOutputFirst ? columns : rows;
  const dims = isStoredOutputFirst ? [classes, inputs] : [inputs, classes];
  const data = new Float32Array(classes * inputs);
  fillTruncatedNormal(randomStream(seed, weight.source.name), data, 0, 1 / Math.sqrt(inputs) / truncatedDeviation);
  graph.setTensor(weight.source, Tensor.ofFloats(weight.source.name, dims, data));
  if (layer.is('Gemm') && layer.inputs[2] !== undefined) biases.push(layer.inputs[2]);
  for (const bias of biases) {
    if (bias.tensor === undefined) throw noHead(layer);
    const shape = [...bias.tensor.dims.slice(0, -1), classes];
    graph.setTensor(bias, Tensor.ofFloats(bias.name, shape, new Float32Array(classes)));
  }
  for (const value of behind) {
    const { declared } = value;
    if (declared?.dims === undefined) continue;
    value.declared = { dataType: declared.dataType, dims: [declared.dims[0], classes, ...declared.dims.slice(2)] };
    value.info = undefined;
  }
}

function noHead(node: Node | undefined): LowrankError {
  return new LowrankError('UNSUPPORTED', 'the model does not end in a dense layer that could be replaced', {
    ...(node === undefined ? {} : { place: node.label }),
    remedy: 'give images of the classes that the model has, or export it with another head',
  });
}
