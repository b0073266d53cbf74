import { reduction, reductionGradient } from './support/reduce.js';

/** Σx² over axes: an attribute, since ai.onnx 18 an input. */
export const reduceSumSquare = reduction(
  'ReduceSumSquare',
  reductionGradient((e, { dy, x }) => e.mul(x, e.scale(dy, 2))),
);
