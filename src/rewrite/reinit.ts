import type { Model } from '../graph/model.js';
import type { Value } from '../graph/value.js';
import { isFloatType } from '../onnx/data-type.js';
import { Tensor } from '../onnx/tensor.js';
import { resolveWeight } from '../ops/resolve-weight.js';
import { channelsOf } from './geometry.js';
import type { Layer } from './layers.js';
import { fillTruncatedNormal, randomStream } from '../random.js';

/**
 * Draws fresh weights, the start of low-rank training from scratch: every convolution and dense weight from a normal
 * distribution with standard deviation 1/√(fan-in), re-sampled beyond two of them (arXiv 2202.00834, section 5); biases 0;
 * BatchNormalization scale 1, bias 0, mean 0, variance 1. The same for the same seed.
 */
export function reinitialize(model: Model, layers: readonly Layer[], seed: number): void {
  const { graph } = model;
  const done = new Set<Value>();
  for (const layer of layers) {
    const { node } = layer;
    const weightInput = layer.kind === 'factorizable' ? layer.weightInput : 1;
    const value = node.inputs[weightInput];
    const weight = value === undefined ? undefined : resolveWeight(graph, value);
    if (weight !== undefined) {
      const [kh, kw] = layer.geometry.kernel;
      const fanIn = Math.max(1, (channelsOf(layer.geometry).in * kh * kw) / layer.group);
      fill(model, weight.source, done, (values, name) => {
        fillTruncatedNormal(randomStream(seed, name), values, 0, 1 / Math.sqrt(fanIn));
      });
    }
    const bias = node.inputs[2];
    if (bias !== undefined && !node.is('MatMul')) constant(model, bias, done, 0);
  }
  for (const node of graph.nodes) {
    if (!node.is('BatchNormalization')) continue;
    [1, 0, 0, 1].forEach((number, index) => {
      const value = node.inputs[index + 1];
      if (value !== undefined) constant(model, value, done, number);
    });
  }
}

function constant(model: Model, value: Value, done: Set<Value>, number: number): void {
  const weight = resolveWeight(model.graph, value);
  if (weight !== undefined) fill(model, weight.source, done, (values) => values.fill(number));
}

/** Replaces the data of an initializer or Constant node, once. */
function fill(model: Model, source: Value, done: Set<Value>, draw: (values: Float32Array, name: string) => void): void {
  if (done.has(source)) return;
  done.add(source);
  const old = source.tensor ?? source.producer?.tensor('value');
  if (old === undefined || !isFloatType(old.dataType)) return;
  const values = new Float32Array(old.size);
  draw(values, source.name);
  const tensor = Tensor.ofFloats(old.name, old.dims, values, old.dataType);
  if (source.tensor === undefined) source.producer!.setAttribute('value', { type: 'tensor', value: tensor });
  else model.graph.setTensor(source, tensor);
}
