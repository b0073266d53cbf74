import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import type { Emitter } from './emitter.js';

/** What a normalization layer saw of a batch, from which its running statistics are updated. */
export interface BatchStatistics {
  /** The running mean and variance, as they are called in the model that is trained: initializers [C]. */
  readonly runningMean: Value;
  readonly runningVariance: Value;
  /** Of the batch, [C]; the variance is biased (divided by n). */
  readonly mean: Value;
  readonly variance: Value;
  /** Elements per channel, n: a float scalar. */
  readonly count: Value;
  /** Weight of the old running statistics, as ONNX counts it. */
  readonly momentum: number;
}

export interface TrainingContext {
  /** The node in the model that is trained, in inference form. */
  readonly node: Node;
  readonly opset: number;
  readonly e: Emitter;
  /** Its inputs in the training graph. */
  readonly inputs: readonly (Value | undefined)[];
  /**
   * A random mask [N, ...shape], an input of the training graph: 1/(1 − ratio) with probability 1 − ratio, else 0; undefined
   * where nothing is dropped.
   */
  mask(name: string, shape: readonly number[], ratio: number): Value | undefined;
}

export interface TrainingForm {
  /** One per output of the node that is read. */
  readonly outputs: readonly (Value | undefined)[];
  readonly statistics?: BatchStatistics;
}

/** Emits what an operator computes in training where that differs from inference. */
export type TrainingRule = (context: TrainingContext) => TrainingForm;
