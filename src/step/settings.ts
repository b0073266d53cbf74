import { LowrankError } from '../errors.js';
import { BFLOAT16, FLOAT16 } from '../onnx/data-type.js';
import type { HalfType } from '../ops/precision.js';
import { type GraphSettings, optimizerNames, type PrecisionName, precisionNames } from '../contracts/train-settings.js';
import { tieNames } from '../passes/untie.js';
import { graphRanges } from './ranges.js';
import { checkChoices, checkRanges } from '../range.js';

export type { GraphSettings };

/** The half type of a precision; undefined for float32. */
export function halfTypeOf(precision: PrecisionName | undefined): HalfType | undefined {
  if (precision === 'float16') return FLOAT16;
  return precision === 'bfloat16' ? BFLOAT16 : undefined;
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
