import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = clip(αx + β, 0, 1) (ai.onnx 6). The derivative at the ends is 0, as in PyTorch. */
export const hardSigmoid = unary(
  'HardSigmoid',
  elementwise((e, dy, _x, y, node) => {
    const isInside = e.emit('And', [e.emit('Greater', [y, e.scalar(0, y)]), e.emit('Less', [y, e.scalar(1, y)])]);
    return e.scale(e.mul(dy, e.indicator(isInside, y)), node.float('alpha', 0.2));
  }),
);
