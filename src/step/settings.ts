import { LowrankError } from '../errors.js';
import { BFLOAT16, FLOAT16 } from '../onnx/data-type.js';
import type { HalfType } from '../ops/precision.js';
import { type TieName, tieNames } from '../passes/untie.js';
import { graphRanges } from './ranges.js';
import { type OptimizerName, optimizerNames } from './rules/index.js';
import { checkChoices, checkRanges } from '../range.js';

export { type OptimizerName, optimizerNames };

/** What training computes in: the others beside float32, where an operator gains from it (docs/precision.md). */
export const precisionNames = ['float32', 'float16', 'bfloat16'] as const;
export type PrecisionName = (typeof precisionNames)[number];

/** The half type of a precision; undefined for float32. */
export function halfTypeOf(precision: PrecisionName | undefined): HalfType | undefined {
  if (precision === 'float16') return FLOAT16;
  return precision === 'bfloat16' ? BFLOAT16 : undefined;
}

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
  /** Which initializers that several layers read are one parameter: see `untie`. */
  readonly tie: TieName;
  /** What the gradient graph computes in; parameters, statistics and the optimizer's state are float32. */
  readonly precision: PrecisionName;
}

export const defaultGraphSettings: GraphSettings = {
  optimizer: 'sgd',
  momentum: 0.9,
  nesterov: false,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 1e-4,
  decay: null,
  frobeniusDecay: 0,
  labelSmoothing: 0,
  clip: null,
  dropout: null,
  dropPath: 0,
  freeze: [],
  trainAlso: [],
  tie: 'auto',
  precision: 'float32',
};

/** Throws USAGE for values that no training can mean. */
export function checkGraphSettings(settings: GraphSettings): void {
  const { optimizer, nesterov, momentum } = settings;
  checkRanges(graphRanges, settings);
  checkChoices({ optimizer: optimizerNames, precision: precisionNames, tie: tieNames }, settings);
  if (nesterov && (optimizer !== 'sgd' || momentum === 0)) {
    throw new LowrankError('USAGE', 'Nesterov momentum needs SGD with momentum', {
      place: `optimizer ${optimizer}, momentum ${momentum}`,
      remedy: 'set --optimizer sgd and --momentum above 0, or drop --nesterov',
    });
  }
}
