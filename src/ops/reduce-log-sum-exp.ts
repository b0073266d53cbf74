import { reduction, reductionGradient } from './support/reduce.js';

/** ln Σ exp x over axes: an attribute, since ai.onnx 18 an input. */
export const reduceLogSumExp = reduction(
  'ReduceLogSumExp',
  reductionGradient((e, { dy, x, y }) => e.mul(dy, e.emit('Exp', [e.sub(x, y)]))),
);
