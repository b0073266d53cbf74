import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import type { Emitter } from './emitter.js';
import type { Gradient } from './gradient.js';
import type { TrainingRule } from './training.js';

/** A tensor's element type (TensorProto.DataType) and concrete shape. */
export interface TensorType {
  readonly dataType: number;
  readonly dims: readonly number[];
}

/**
 * What is known of a value while shapes are inferred. `constant` holds the elements, row-major, of small tensors that do
 * not depend on the model's inputs: shapes, axes, paddings. Never more than `largestConstant` elements.
 */
export interface Known extends TensorType {
  readonly constant?: readonly number[];
  /** The tensors of a sequence, in order: such a value is no tensor, its `dataType` is that of the tensors and `dims` is []. */
  readonly sequence?: readonly Known[];
}

export const largestConstant = 4096;

export interface InferenceContext {
  readonly node: Node;
  /** Version of the node's domain that the model imports. */
  readonly opset: number;
  /** One per input of the node; undefined where an optional input is left out. */
  readonly inputs: readonly (Known | undefined)[];
}

/** An ONNX operator: one file, and one line in the index. */
export interface Operator {
  readonly opType: string;
  /** "" for ai.onnx. */
  readonly domain: string;
  /**
   * Types of the outputs. Throws SHAPE where the inputs contradict each other or the attributes; returns undefined where
   * the shape depends on data that is not known.
   */
  infer(context: InferenceContext): readonly (Known | undefined)[] | undefined;
  /** How gradients flow through it: an operator that has none says so, and why. */
  readonly gradient: Gradient;
  /**
   * Inputs that say how it computes, not what: sizes, ratios, bounds, grids. A stored tensor there is no weight, even where the
   * rule has a gradient for it.
   */
  readonly settings?: readonly number[];
  /** What it computes in training, where that is something else than in inference. */
  readonly training?: TrainingRule;
  /** For operators of our own, which no runtime knows: the outputs in inference, by operators that it does know. */
  inference?(context: {
    readonly node: Node;
    readonly e: Emitter;
    readonly inputs: readonly (Value | undefined)[];
  }): readonly (Value | undefined)[];
  /** Multiply-accumulates of one run; operators without it count as 0, as is custom for element-wise work. */
  macs?(node: Node, inputs: readonly (TensorType | undefined)[], outputs: readonly (TensorType | undefined)[]): number;
}
