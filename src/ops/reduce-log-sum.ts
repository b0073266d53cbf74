import { reduction, reductionGradient } from './support/reduce.js';

/** ln Σx over axes: an attribute, since ai.onnx 18 an input. */
export const reduceLogSum = reduction(
  'ReduceLogSum',
  reductionGradient((e, { dy, y }) => e.mul(dy, e.emit('Exp', [e.neg(y)]))),
);
