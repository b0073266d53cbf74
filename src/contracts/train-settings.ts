/** Settings of a training that published JSON has: see `lowrank.artifacts/1`. A field is added, never renamed. */

/** Update rules, in the order in which they are shown. */
export const optimizerNames = ['sgd', 'adam', 'adamw', 'rmsprop'] as const;
export type OptimizerName = (typeof optimizerNames)[number];

/** What is minimized. */
export type LossName = 'cross-entropy' | 'binary-cross-entropy';

/** What training computes in: the others beside float32, where an operator gains from it (docs/precision.md). */
export const precisionNames = ['float32', 'float16', 'bfloat16'] as const;
export type PrecisionName = (typeof precisionNames)[number];

/** What the emitted graphs depend on. Every field has a default: see `defaultGraphSettings`. */
export interface GraphSettings {
  readonly optimizer: OptimizerName;
  /** SGD and RMSprop: share of the old momentum buffer. */
  readonly momentum: number;
  /** SGD: Nesterov's form of momentum, as PyTorch has it. */
  readonly nesterov: boolean;
  /** Adam and AdamW: decay rate of the first moment. */
  readonly beta1: number;
  /** Adam and AdamW: decay rate of the second moment; RMSprop: of the mean square. */
  readonly beta2: number;
  /** Added to the root of the second moment. */
  readonly epsilon: number;
  /** L2 penalty added to the gradient; AdamW: decoupled, times the learning rate. */
  readonly weightDecay: number;
  /**
   * Globs of the parameters that are decayed; null: those of two and more dimensions. Factors of pairs are never
   * decayed where `frobeniusDecay` is set.
   */
  readonly decay: readonly string[] | null;
  /** λ of λ/2 ‖U V‖²_F, added for every pair to what is minimized (Khodak et al., arXiv 2105.01029). */
  readonly frobeniusDecay: number;
  /** Share of the target spread evenly over the classes, from 0 to below 1. */
  readonly labelSmoothing: number;
  /** Largest global norm of the gradient; null: no clipping. */
  readonly clip: number | null;
  /** Share of the activations before the last dense layer that is dropped; null: what the model's Dropout nodes say. */
  readonly dropout: number | null;
  /** Share of the samples for which a residual branch is dropped (stochastic depth), in the last block; linear in depth. */
  readonly dropPath: number;
  /** Globs of parameters that are not trained. */
  readonly freeze: readonly string[];
  /** Globs of stored tensors that are trained though they look like no weights: see `reasonToStay`. */
  readonly trainAlso: readonly string[];
  /** Which initializers that several layers read are one parameter: all but those of equal elements (`auto`), all, none. */
  readonly tie: 'auto' | 'always' | 'never';
  /** What the gradient graph computes in; parameters, statistics and the optimizer's state are float32. */
  readonly precision: PrecisionName;
}

/** What the user says of how images become inputs. null: what the model says, else what is usual. */
export interface ImageSettings {
  /** Side of the images in pixels. */
  readonly imageSize: number | null;
  /** Shorter side before the center crop. Usual: the image size / 0.875; up to 64 pixels, the image size. */
  readonly resize: number | null;
  /** The whole image is stretched to the model's size, in place of the center crop. Usual: not. */
  readonly stretch: boolean | null;
  /** Usual: bilinear. */
  readonly interpolation: 'bilinear' | 'bicubic' | null;
  /** Name of a normalization, or means and standard deviations of the channels, for pixels from 0 to 1. Usual: imagenet. */
  readonly normalization: string | null;
  readonly mean: readonly number[] | null;
  readonly std: readonly number[] | null;
  /** Values of inputs that are no images, "name=value" each: see `fixInputs`. Absent where there are none. */
  readonly inputs?: readonly string[];
}
