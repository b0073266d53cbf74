import { reduction, reductionGradient } from './support/reduce.js';

/** Σ|x| over axes: an attribute, since ai.onnx 18 an input. */
export const reduceL1 = reduction(
  'ReduceL1',
  reductionGradient((e, { dy, x }) => e.mul(dy, e.emit('Sign', [x]))),
);
