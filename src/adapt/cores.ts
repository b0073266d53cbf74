import { LowrankError } from '../errors.js';
import type { Model } from '../graph/model.js';
import { readModel } from '../graph/read.js';
import type { Value } from '../graph/value.js';
import { modelBytes } from '../graph/write.js';
import { Tensor } from '../onnx/tensor.js';
import { fromKernels, isFactorOutputMajor, type Kernel, toKernels, transpose } from '../rewrite/layout.js';
import type { Matrix } from '../linalg/types.js';
import { readPairs, writePairs } from '../rewrite/pairs.js';
import { type AdaptedLayer, coreName } from './layers.js';

/** Vᵀ and U as they are stored. */
export function kernelsOf(
  layer: AdaptedLayer,
  right: Matrix,
  left: Matrix,
): { readonly right: Kernel; readonly left: Kernel } {
  const [first, last] = toKernels([right, left], layer.geometry, layer.scheme, layer.form, layer.transB);
  return { right: first!, left: last! };
}

/** The inverse of `kernelsOf`. */
export function matricesOf(
  layer: AdaptedLayer,
  right: Kernel,
  left: Kernel,
): { readonly right: Matrix; readonly left: Matrix } {
  const [first, last] = fromKernels([right, left], layer.form, layer.transB);
  return { right: first!, left: last! };
}

/** S as it is stored: of a convolution 1×1, of a product on the right [in, out]. */
export function coreKernel({ form }: AdaptedLayer, { rows, cols, data }: Matrix): Kernel {
  if (form === 'conv') return { dims: [rows, cols, 1, 1], data };
  if (form === 'matmul-left') return { dims: [rows, cols], data };
  return { dims: [cols, rows], data: transpose(data, rows, cols) };
}

/** The inverse of `coreKernel`. */
export function coreMatrix({ form }: AdaptedLayer, { dims, data }: Kernel): Matrix {
  const [first, second] = dims as [number, number];
  if (form === 'conv' || form === 'matmul-left') return { rows: first, cols: second, data };
  return { rows: second, cols: first, data: transpose(data, first, second) };
}

/** The order of its axes in which each tensor of a layer is its matrix, row-major. */
export function axesOf({ form, transB }: AdaptedLayer): Readonly<Record<'right' | 'core' | 'left', readonly number[]>> {
  if (form === 'conv') return { right: [0, 1, 2, 3], core: [0, 1, 2, 3], left: [0, 2, 3, 1] };
  const axes = (isOutputMajor: boolean): readonly number[] => (isOutputMajor ? [0, 1] : [1, 0]);
  return {
    right: axes(isFactorOutputMajor(form, transB, false)),
    core: axes(form === 'matmul-left'),
    left: axes(isFactorOutputMajor(form, transB, true)),
  };
}

/**
 * The model with S between the factors of each layer, of `capacity` channels each. All three hold zeros: what they are comes with the
 * state of a training. Nothing records the pairs.
 */
export function withCores(
  source: string | Uint8Array,
  layers: readonly AdaptedLayer[],
  capacities: readonly number[],
): Uint8Array {
  const model = readModel(source);
  try {
    layers.forEach((layer, at) => insertCore(model, layer, capacities[at]!));
    const own = new Set(layers.map(({ left }) => left));
    writePairs(
      model,
      readPairs(model).filter(({ factors }) => !factors.some((factor) => own.has(factor))),
    );
    return modelBytes(model);
  } finally {
    model.file?.close();
  }
}

function insertCore(model: Model, layer: AdaptedLayer, capacity: number): void {
  const { graph } = model;
  const zeros = (rows: number, cols: number): Matrix => ({ rows, cols, data: new Float32Array(rows * cols) });
  const { right, left } = kernelsOf(layer, zeros(capacity, layer.cols), zeros(layer.rows, capacity));
  resize(model, layer.right, right);
  resize(model, layer.left, left);
  const { dims, data } = coreKernel(layer, zeros(capacity, capacity));
  const core = graph.addInitializer(Tensor.ofFloats(coreName(layer), dims, data));
  if (model.irVersion < 4) graph.addInput(core.name, { dataType: core.tensor!.dataType, dims });
  const [hidden] = forgetShapes(model, layer);
  const first = hidden!.producer!;
  const before = graph.addValue(graph.uniqueName(`${hidden!.name}.core`));
  const { opType, domain, name, inputs, attributes } = first;
  const isLeft = layer.form === 'matmul-left';
  graph.replaceNode(first, () => [
    { opType, domain, name, inputs, outputs: [before], attributes: Object.fromEntries(attributes) },
    {
      opType: layer.form === 'conv' ? 'Conv' : 'MatMul',
      name: graph.uniqueNodeName(`${first.id}.core`),
      inputs: isLeft ? [core, before] : [before, core],
      outputs: [hidden],
    },
  ]);
}

/** Puts a tensor of another shape into an initializer. */
function resize({ graph }: Model, name: string, { dims, data }: Kernel): void {
  const value = initializer(graph.value(name), name);
  const { dataType } = value.tensor!;
  graph.setTensor(value, Tensor.ofFloats(name, dims, data, dataType));
  if (value.declared !== undefined) value.declared = { dataType, dims };
}

/** The values between the factors, whose shapes are others now. */
function forgetShapes({ graph }: Model, { hidden }: AdaptedLayer): Value[] {
  return hidden.map((name) => {
    const value = graph.value(name)!;
    value.declared = undefined;
    return value;
  });
}

function initializer(value: Value | undefined, name: string): Value {
  if (value?.tensor !== undefined) return value;
  throw new LowrankError('INTERNAL', `'${name}' is no initializer of the model`);
}

/** The model with pairs of other ranks in the place of its own: A = U S and B = Vᵀ, balanced, both to be had by layer. */
export function withPairs(
  model: Model,
  layers: readonly AdaptedLayer[],
  pairs: readonly { readonly left: Matrix; readonly right: Matrix }[],
): void {
  const records = readPairs(model);
  layers.forEach((layer, at) => {
    const { left, right } = pairs[at]!;
    const kernels = kernelsOf(layer, right, left);
    resize(model, layer.right, kernels.right);
    resize(model, layer.left, kernels.left);
    forgetShapes(model, layer);
  });
  const rankOf = new Map(layers.map((layer, at) => [layer.left, pairs[at]!.right.rows]));
  writePairs(
    model,
    records.map((record) => {
      const rank = record.factors.map((factor) => rankOf.get(factor)).find((found) => found !== undefined);
      return rank === undefined ? record : Object.assign({}, record, { rank });
    }),
  );
}
