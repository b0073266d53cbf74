import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = x ± bias outside [−λ, λ], 0 inside (ai.onnx 9). The derivative at ±λ is 0, as in PyTorch. */
export const shrink = unary(
  'Shrink',
  elementwise((e, dy, x, _y, node) => {
    const isOutside = e.emit('Greater', [e.emit('Abs', [x]), e.scalar(node.float('lambd', 0.5), x)]);
    return e.mul(dy, e.indicator(isOutside, x));
  }),
);
