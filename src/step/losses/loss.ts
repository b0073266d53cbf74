import type { Value } from '../../graph/value.js';
import type { Emitter } from '../../ops/emitter.js';

/** An input of the graph that a loss compares with. */
export interface LossTarget {
  readonly name: string;
  readonly type: 'int64' | 'float32';
  /** Of one image: the batch comes before it. */
  readonly dims: readonly number[];
}

export interface LossContext {
  readonly e: Emitter;
  /** Tensors of the model by what they are: `logits` [N, K]. */
  readonly tensors: Readonly<Record<'logits', Value>>;
  /** By name, as `targets` declares them. */
  readonly targets: Readonly<Record<string, Value>>;
  /** Share of the target spread evenly over the classes. */
  readonly smoothing: number;
}

export interface EmittedLoss {
  /** float32 scalar, called `loss`. */
  readonly loss: Value;
  /** int64 scalar, called `correct`: how many largest logits (the first of equal ones) are those of a label. */
  readonly correct: Value;
  /** Emits ∂loss/∂tensor, for each tensor that the loss reads. */
  gradients(): LossContext['tensors'];
}

/** A loss: one file in losses/ and one line in its index. */
export interface Loss {
  /** Whether an image has one class, or any number of them. */
  readonly classes: 'one' | 'any';
  targets(classes: number): readonly LossTarget[];
  emit(context: LossContext): EmittedLoss;
}
