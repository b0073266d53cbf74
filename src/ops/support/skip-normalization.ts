import { FLOAT } from '../../onnx/data-type.js';
import type { InferenceContext, Known } from '../operator.js';
import { input, known } from './known.js';

/** y as the input; mean and 1/standard deviation with the last axis 1; the sum before normalization. */
export function inferSkip(context: InferenceContext): Known[] {
  const { dataType, dims } = input(context, 0);
  const stash = known(FLOAT, [...dims.slice(0, -1), 1]);
  return [known(dataType, dims), stash, stash, known(dataType, dims)];
}
