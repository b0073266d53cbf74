import { reduction, reductionGradient } from './support/reduce.js';

/** Σx over axes: an attribute, since ai.onnx 13 an input. */
export const reduceSum = reduction(
  'ReduceSum',
  reductionGradient((_e, { dy }) => dy),
  (values) => values.reduce((sum, value) => sum + value, 0),
);
