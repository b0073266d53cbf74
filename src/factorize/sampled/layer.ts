import type { Graph } from '../../graph/graph.js';
import type { Value } from '../../graph/value.js';
import { newModel } from '../../graph/model.js';
import { modelBytes } from '../../graph/write.js';
import { FLOAT } from '../../onnx/data-type.js';
import type { Emitter } from '../../ops/emitter.js';
import { irVersionFor, trainingOpset } from '../../passes/raise-opset.js';
import type { RuntimeTensor } from '../../runtime/types.js';
import { tool } from '../../version.js';
import type { InitProblem } from '../types.js';
import type { FactorPair } from '../../rewrite/types.js';
import type { ActivationForm } from './activation-form.js';

/** Sizes of a layer as the matrix of its scheme; see InitProblem. */
export interface LayerSizes {
  readonly neurons: number;
  readonly rowsPerNeuron: number;
  readonly cols: number;
  readonly rank: number;
}

export function sizesOf({ weight, rowsPerNeuron, rank }: InitProblem): LayerSizes {
  return { neurons: weight.rows / rowsPerNeuron, rowsPerNeuron, cols: weight.cols, rank };
}

export function opsetsFor({ opsets }: ActivationForm): ReadonlyMap<string, number> {
  return new Map([['', trainingOpset], ...opsets]);
}

/** A layer's weight and the pair in its place, as values of one graph. */
export interface LayerValues {
  /** [neurons, rowsPerNeuron · cols]: the weight, its numbers as they lie. */
  readonly teacher: Value;
  /** [neurons, rowsPerNeuron · rank], likewise. */
  readonly left: Value;
  /** [rank, cols] */
  readonly right: Value;
}

/** Declares the inputs `teacher`, `left` and `right`. */
export function declareLayer(e: Emitter, sizes: LayerSizes): LayerValues {
  const input = (name: string, dims: readonly number[]): Value =>
    e.declare(e.graph.addInput(name, { dataType: FLOAT, dims }), { dataType: FLOAT, dims });
  const { teacher, left, right } = dimsOf(sizes);
  return { teacher: input('teacher', teacher), left: input('left', left), right: input('right', right) };
}

function dimsOf({ neurons, rowsPerNeuron, cols, rank }: LayerSizes) {
  return { teacher: [neurons, rowsPerNeuron * cols], left: [neurons, rowsPerNeuron * rank], right: [rank, cols] };
}

/** What `declareLayer` is fed. */
export function layerFeeds(problem: InitProblem, pair: FactorPair): Record<string, RuntimeTensor> {
  const { teacher, left, right } = dimsOf(sizesOf(problem));
  const tensor = (dims: readonly number[], data: Float32Array): RuntimeTensor => ({ type: 'float32', dims, data });
  return {
    teacher: tensor(teacher, problem.weight.data),
    left: tensor(left, pair.left.data),
    right: tensor(right, pair.right.data),
  };
}

/** σ(Wx) for `inputs` [batch, rowsPerNeuron · cols]. */
export function emitTeacher(e: Emitter, activation: ActivationForm, inputs: Value, teacher: Value): Value {
  return activation.emit(e, e.gemm(inputs, teacher, { transB: true }));
}

/** σ(Ŵx), the pair staying a pair: h = X rightᵀ, one row for each of a neuron's rows, then h leftᵀ. */
export function emitPair(
  e: Emitter,
  plan: { readonly sizes: LayerSizes; readonly activation: ActivationForm; readonly batch: number },
  inputs: Value,
  left: Value,
  right: Value,
): Value {
  const { rowsPerNeuron, cols, rank } = plan.sizes;
  const rows = e.reshape(inputs, [plan.batch * rowsPerNeuron, cols]);
  const coordinates = e.reshape(e.gemm(rows, right, { transB: true }), [plan.batch, rowsPerNeuron * rank]);
  return plan.activation.emit(e, e.gemm(coordinates, left, { transB: true }));
}

/** The bytes of a model of our own making. */
export function fitModel(graph: Graph, opsets: ReadonlyMap<string, number>): Uint8Array {
  return modelBytes(newModel(graph, opsets, irVersionFor(opsets.get('')!), tool));
}
