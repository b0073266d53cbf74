import { LowrankError } from '../errors.js';
import type { Matrix } from '../linalg/types.js';
import type { LaidOut, TrainedTensor, TrainedTensors } from '../step/laid-out.js';
import { tensorsOf } from '../step/laid-out.js';
import type { Kernel } from '../rewrite/layout.js';
import type { BasisGradients } from './augment.js';
import { coreKernel, coreMatrix, kernelsOf, matricesOf } from './cores.js';
import { type LayerFactors, resized, usedColumns, usedRows } from './factors.js';
import { type AdaptedLayer, coreName } from './layers.js';

/** The names of the tensors of a layer. */
export function namesOf(layer: AdaptedLayer): readonly [right: string, core: string, left: string] {
  return [layer.right, coreName(layer), layer.left];
}

/** The names of the bases of all layers. */
export function basisNames(layers: readonly AdaptedLayer[]): ReadonlySet<string> {
  return new Set(layers.flatMap(({ left, right }) => [left, right]));
}

/** The factors of layers as they lie in a state, without the zeros that fill their capacity. */
export function factorsOf(state: LaidOut, layers: readonly AdaptedLayer[]): LayerFactors[] {
  const tensors = tensorsOf(state);
  return layers.map((layer) => {
    const whole = basesIn(tensors, layer);
    const [a, b] = [usedColumns(whole.left), usedRows(whole.right)];
    return {
      left: own(resized(whole.left, whole.left.rows, a)),
      right: own(resized(whole.right, b, whole.right.cols)),
      ...coefficientsIn(tensors, layer, a, b),
    };
  });
}

/** Puts factors into a state, which may have more room than they need. */
export function putFactors(state: LaidOut, layers: readonly AdaptedLayer[], factors: readonly LayerFactors[]): void {
  const tensors = tensorsOf(state);
  layers.forEach((layer, at) => {
    const { left, core, right, buffers, average } = factors[at]!;
    const middle = required(tensors, coreName(layer));
    const capacity = middle.shape[0]!;
    if (core.rows > capacity || core.cols > capacity) {
      throw new LowrankError('INTERNAL', `'${layer.label}' has no room for ${core.rows} × ${core.cols} coefficients`);
    }
    const kernels = kernelsOf(layer, resized(right, capacity, right.cols), resized(left, left.rows, capacity));
    const put = (tensor: TrainedTensor, data: Float32Array): void => {
      tensor.value.set(data);
      tensor.average?.set(data);
    };
    put(required(tensors, layer.right), kernels.right.data);
    put(required(tensors, layer.left), kernels.left.data);
    const stored = (matrix: Matrix): Float32Array => coreKernel(layer, resized(matrix, capacity, capacity)).data;
    middle.value.set(stored(core));
    middle.buffers.forEach((buffer, index) => {
      const kept = buffers[index];
      if (kept === undefined) buffer.fill(0);
      else buffer.set(stored(kept));
    });
    middle.average?.set(stored(average ?? core));
  });
}

/** What ∂loss is by the bases of layers, as they lie in a flat gradient of a state's parameters; cut to the size of the factors. */
export function gradientsOf(
  gradient: LaidOut,
  layers: readonly AdaptedLayer[],
  factors: readonly LayerFactors[],
): BasisGradients[] {
  const tensors = tensorsOf(gradient);
  return layers.map((layer, at) => {
    const { core } = factors[at]!;
    const whole = basesIn(tensors, layer);
    return {
      left: resized(whole.left, whole.left.rows, core.rows),
      right: resized(whole.right, core.cols, whole.right.cols),
    };
  });
}

/** S and what is kept of it, as it lies in a state, cut to the size of the factors. */
export function coefficientsOf(
  state: LaidOut,
  layers: readonly AdaptedLayer[],
  like: readonly LayerFactors[],
): Coefficients[] {
  const tensors = tensorsOf(state);
  return layers.map((layer, at) => {
    const { rows, cols } = like[at]!.core;
    return coefficientsIn(tensors, layer, rows, cols);
  });
}

/** S, and what is kept of it. */
type Coefficients = Pick<LayerFactors, 'core' | 'buffers' | 'average'>;

function coefficientsIn(tensors: TrainedTensors, layer: AdaptedLayer, rows: number, cols: number): Coefficients {
  const { shape, value, buffers, average } = required(tensors, coreName(layer));
  const cut = (data: Float32Array): Matrix => own(resized(coreMatrix(layer, { dims: shape, data }), rows, cols));
  return { core: cut(value), buffers: buffers.map(cut), average: average && cut(average) };
}

/** What lies in the place of U and Vᵀ, with all of its room. */
function basesIn(tensors: TrainedTensors, layer: AdaptedLayer): ReturnType<typeof matricesOf> {
  const kernelOf = (name: string): Kernel => {
    const { shape, value } = required(tensors, name);
    return { dims: shape, data: value };
  };
  return matricesOf(layer, kernelOf(layer.right), kernelOf(layer.left));
}

/** Copies every tensor but those of the layers, by name. */
export function copyOthers(from: LaidOut, to: LaidOut, layers: readonly AdaptedLayer[]): void {
  const adapted = new Set(layers.flatMap(namesOf));
  const source = tensorsOf(from);
  for (const [name, target] of tensorsOf(to)) {
    if (adapted.has(name)) continue;
    const { value, buffers, average } = required(source, name);
    target.value.set(value);
    target.average?.set(average ?? value);
    target.buffers.forEach((buffer, at) => {
      const kept = buffers[at];
      if (kept !== undefined) buffer.set(kept);
    });
  }
}

/** Copies a whole state into one that is laid out for other capacities or other roles. */
export function copyState(from: LaidOut, to: LaidOut, layers: readonly AdaptedLayer[]): void {
  copyOthers(from, to, layers);
  putFactors(to, layers, factorsOf(from, layers));
}

function required(tensors: TrainedTensors, name: string): TrainedTensor {
  const tensor = tensors.get(name);
  if (tensor !== undefined) return tensor;
  throw new LowrankError('INTERNAL', `there is no tensor '${name}' in the state`);
}

/** A matrix whose memory is its own. */
function own({ rows, cols, data }: Matrix): Matrix {
  return { rows, cols, data: data.slice() };
}
