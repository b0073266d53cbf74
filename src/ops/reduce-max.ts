import { reduction, reductionGradient } from './support/reduce.js';

/** max x over axes: an attribute, since ai.onnx 18 an input. Equal extremes share the gradient evenly, as in PyTorch. */
export const reduceMax = reduction(
  'ReduceMax',
  reductionGradient((e, { dy, x, y, axes }) => {
    const isExtreme = e.indicator(e.emit('Equal', [x, y]), x);
    return e.mul(isExtreme, e.div(dy, e.reduceSum(isExtreme, axes)));
  }),
  (values) => Math.max(...values),
);
