import { reduction, reductionGradient } from './support/reduce.js';

/** Πx over axes: an attribute, since ai.onnx 18 an input. Exact where elements are 0. */
export const reduceProd = reduction(
  'ReduceProd',
  reductionGradient((e, { dy, x, axes }) => {
    const isZero = e.indicator(e.emit('Equal', [x, e.scalar(0, x)]), x);
    const others = e.add(x, isZero);
    const zeros = e.reduceSum(isZero, axes);
    const isOnlyZero = e.indicator(e.emit('Equal', [zeros, isZero]), x);
    const product = e.reduceProd(others, axes);
    return e.mul(e.mul(dy, product), e.div(isOnlyZero, others));
  }),
  (values) => values.reduce((product, value) => product * value, 1),
);
