import { Graph } from '../graph/graph.js';
import { type Model, newModel, opsetOf } from '../graph/model.js';
import { modelBytes } from '../graph/write.js';
import type { Matrix } from '../linalg/types.js';
import { FLOAT } from '../onnx/data-type.js';
import { Tensor } from '../onnx/tensor.js';
import { inferShapes, type ShapeTable } from '../ops/infer.js';
import type { Scheme } from '../contracts/convert.js';
import type { Driver, SessionOptions } from '../runtime/types.js';
import { addFactorWeights, emitFactors } from '../rewrite/emit.js';
import { matrixShape } from '../rewrite/geometry.js';
import { findLayers, type FactorizableLayer } from '../rewrite/layers.js';
import { splitPair, toKernels } from '../rewrite/layout.js';
import { layerTurn, measureModels } from '../rewrite/measure-models.js';
import { randomFloats } from '../rewrite/samples.js';

/** A way to run a layer: as it is (null), or as a pair. */
export interface Variant {
  readonly scheme: Scheme | null;
  readonly rank: number;
}

/**
 * Measured milliseconds of one layer in each of its variants, in order: alone in onnxruntime, at its real sizes. Weights are
 * random: time does not depend on their values.
 */
export async function measureVariants(
  driver: Driver,
  model: Model,
  shapes: ShapeTable,
  layer: FactorizableLayer,
  variants: readonly Variant[],
  options: SessionOptions,
  signal?: AbortSignal,
): Promise<number[]> {
  const input = layerInput(layer);
  const dims = shapes.typeOf(input)!.dims;
  const size = dims.reduce((product, dim) => product * dim, 1);
  const feeds = { x: { type: 'float32', dims, data: randomFloats(size, 0, 'x') } } as const;
  const models = variants.map((variant) => oneLayerModel(model, shapes, layer, variant));
  return measureModels(driver, models, feeds, options, layerTurn, signal);
}

/** Layers with the same signature take the same time. */
export function latencySignature(layer: FactorizableLayer, shapes: ShapeTable): string {
  const attributes = [...layer.node.attributes].map(([name, { type, value }]) => [
    name,
    type === 'ints' || type === 'int' ? value : type,
  ]);
  const input = shapes.typeOf(layerInput(layer));
  return JSON.stringify([layer.form, layer.geometry, layer.biasCount, input?.dims, attributes]);
}

function layerInput(layer: FactorizableLayer) {
  return layer.node.inputs[layer.form === 'matmul-left' ? 1 : 0]!;
}

function oneLayerModel(model: Model, shapes: ShapeTable, layer: FactorizableLayer, variant: Variant): Uint8Array {
  const graph = new Graph('layer');
  const opsets = new Map([['', opsetOf(model)]]);
  const single = newModel(graph, opsets, Math.max(model.irVersion, 4), { name: 'lowrank', version: '' });
  const dims = shapes.typeOf(layerInput(layer))!.dims;
  const x = graph.addInput('x', { dataType: FLOAT, dims });
  const weight = graph.addInitializer(randomTensor('w', layer.weight.dims));
  const biasType = layer.biasCount > 0 ? shapes.typeOf(layer.node.inputs[2]!) : undefined;
  const bias = biasType === undefined ? undefined : graph.addInitializer(randomTensor('b', biasType.dims));
  const y = graph.addValue('y');
  const inputs = layer.form === 'matmul-left' ? [weight, x] : bias === undefined ? [x, weight] : [x, weight, bias];
  graph.addNode({
    opType: layer.node.opType,
    name: 'layer',
    inputs,
    outputs: [y],
    attributes: Object.fromEntries(layer.node.attributes),
  });
  graph.addOutput(y, { dataType: FLOAT, dims: shapes.typeOf(layer.node.outputs[0]!)!.dims });
  if (variant.scheme !== null) {
    const copy = findLayers(graph, inferShapes(single, {}))[0];
    if (copy?.kind === 'factorizable') {
      const { scheme, rank } = variant;
      const { rows, cols } = matrixShape(layer.geometry, scheme);
      const random = (height: number, width: number): Matrix => ({
        rows: height,
        cols: width,
        data: randomValues(height * width),
      });
      const factors = splitPair({ left: random(rows, rank), right: random(rank, cols) }, scheme);
      const kernels = toKernels(factors, layer.geometry, scheme, layer.form, layer.node.int('transB', 0));
      emitFactors(single, copy, scheme, addFactorWeights(single, copy, scheme, kernels));
    }
  }
  return modelBytes(single);
}

function randomTensor(name: string, dims: readonly number[]): Tensor {
  return Tensor.ofFloats(name, dims, randomValues(dims.reduce((product, dim) => product * dim, 1)));
}

function randomValues(count: number): Float32Array {
  return randomFloats(count, 0, 'weights');
}
