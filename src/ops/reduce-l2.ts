import { reduction, reductionGradient } from './support/reduce.js';

/** √Σx² over axes: an attribute, since ai.onnx 18 an input. The derivative at 0 is 0, as in PyTorch. */
export const reduceL2 = reduction(
  'ReduceL2',
  reductionGradient((e, { dy, x, y }) =>
    e.mul(x, e.div(dy, e.add(y, e.indicator(e.emit('Equal', [y, e.scalar(0, y)]), y)))),
  ),
);
