import { reduction, reductionGradient } from './support/reduce.js';

/** Σx over axes: an attribute, since ai.onnx 13 an input. */
export const reduceSum = reduction(
  'ReduceSum',
  (values) => values.reduce((sum, value) => sum + value, 0),
  reductionGradient((_e, { dy }) => dy),
);
