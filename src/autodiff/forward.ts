import type { Graph } from '../graph/graph.js';
import type { Value } from '../graph/value.js';
import type { Emitter } from '../ops/emitter.js';
import type { ShapeTable } from '../ops/infer.js';
import type { BatchStatistics } from '../ops/training.js';

/** The model that is trained: prepared, of the emitter's opset, its values typed for the batch size that is emitted. */
export interface ForwardSource {
  readonly graph: Graph;
  readonly opsets: ReadonlyMap<string, number>;
  readonly shapes: ShapeTable;
  /** What is computed, such as logits [N, classes]. */
  readonly outputs: readonly Value[];
  /** What is computed too, and may lie in memory as the target has it. */
  readonly points?: readonly Value[];
  /** What dropout and stochastic depth draw; without it nothing is dropped. */
  readonly masks?: MaskFactory;
}

/** Makes mask inputs [N, ...shape] of the training graph; undefined where there is no dropout. */
export type MaskFactory = (name: string, shape: readonly number[], ratio: number) => Value | undefined;

/** The forward pass of a training step, and the way back. */
export interface TrainingForward {
  /** `source.outputs` in the training graph. */
  readonly outputs: readonly Value[];
  /** `source.points` in the training graph, those of four and more axes in the target's layout: the same numbers in another order. */
  readonly points: readonly Value[];
  /** One per normalization layer that uses batch statistics. */
  readonly statistics: readonly BatchStatistics[];
  /**
   * Emits the gradients of `wanted` (values of `bindings`), given those of outputs and points; those that these do not depend
   * on are missing. Throws UNSUPPORTED for an operator without a gradient.
   */
  backward(gradients: ReadonlyMap<Value, Value>, wanted: readonly Value[]): ReadonlyMap<Value, Value>;
}

/**
 * Emits the forward pass of a training step. `bindings` gives the values of the training graph that stand for the
 * source's inputs, parameters and running statistics; other initializers are copied.
 */
export type BuildForward = (e: Emitter, source: ForwardSource, bindings: ReadonlyMap<Value, Value>) => TrainingForward;
