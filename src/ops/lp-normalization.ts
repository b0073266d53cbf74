import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';

/** x divided by its p-norm along an axis (ai.onnx 1). */
export const lpNormalization = unary(
  'LpNormalization',
  elementwise((e, dy, x, y, node) => {
    const axes = [node.int('axis', -1)];
    const isFirst = node.int('p', 2) === 1;
    const norm = isFirst ? e.reduceSum(e.emit('Abs', [x]), axes) : e.emit('Sqrt', [e.reduceSum(e.mul(x, x), axes)]);
    const along = e.mul(isFirst ? e.emit('Sign', [x]) : y, e.reduceSum(e.mul(dy, y), axes));
    const isZero = e.indicator(e.emit('Equal', [norm, e.scalar(0, x)]), x);
    return e.div(e.sub(dy, along), e.add(norm, isZero));
  }),
);
