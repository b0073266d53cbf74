import type { Value } from '../../graph/value.js';
import type { Emitter } from '../../ops/emitter.js';
import type { LossTarget } from '../losses/loss.js';
import type { PreparedModel } from '../prepare-model.js';

/** What a training minimizes, as far as graphs know it. */
export interface Goal {
  /** Classes that the model tells apart; null where it is no classifier. */
  readonly classes: number | null;
  /** Values of the model that the loss reads as the model has them. */
  readonly outputs: readonly Value[];
  /** Values of which every element counts alike, in whatever order. */
  readonly points: readonly Value[];
  /** What the graph is fed beside the images. */
  readonly targets: readonly LossTarget[];
  emit(context: GoalContext): EmittedGoal;
}

/** A model made ready for training, and what is minimized. */
export interface Trainable extends PreparedModel {
  readonly goal: Goal;
}

/** `outputs` and `points` of a goal, or of another model, in the graph that is emitted. */
export interface Computed {
  readonly outputs: readonly Value[];
  readonly points: readonly Value[];
}

export interface GoalContext extends Computed {
  readonly e: Emitter;
  /** By name, as `targets` declares them. */
  readonly targets: Readonly<Record<string, Value>>;
  /** Share of a label's target that is spread evenly over the classes. */
  readonly smoothing: number;
  /** What another model makes of the same images, in inference form; its points lie as those of the goal do. */
  run(other: Pick<PreparedModel, 'model' | 'images' | 'shapesFor'>, wanted: Computed): Computed;
}

export interface EmittedGoal {
  /** float32 scalar, called `loss`. */
  readonly loss: Value;
  /** int64 scalar, called `correct`: images whose largest logit is that of the label, or of the teacher's largest; 0 without classes. */
  readonly correct: Value;
  /** The model's first output: `logits` [N, K] where there are classes. */
  readonly main: Value;
  /** Emits ∂loss/∂value in the order of the goal's, elements as those lie; undefined where the loss does not read one. */
  gradients(): { readonly outputs: readonly (Value | undefined)[]; readonly points: readonly (Value | undefined)[] };
}
