import type { InferenceContext, Known } from '../operator.js';
import { shapeError } from './fail.js';
import { input } from './known.js';

/** A sequence of tensors of one element type. */
export function sequenceOf(dataType: number, tensors: readonly Known[]): Known {
  return { dataType, dims: [], sequence: tensors };
}

/** The tensors of input `index`. Throws SHAPE where it is no sequence. */
export function sequenceInput(context: InferenceContext, index: number): readonly Known[] {
  const { sequence } = input(context, index);
  if (sequence === undefined) throw shapeError(`input ${index} is no sequence`);
  return sequence;
}
