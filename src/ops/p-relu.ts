import { rule } from './gradient.js';
import { binary } from './support/elementwise.js';

/**
 * y = x where x ≥ 0, else slope·x (ai.onnx 7, broadcast). dx = dy where x > 0, else slope·dy (PyTorch's choice at 0);
 * d(slope) = Σ dy·min(x, 0).
 */
export const pRelu = binary(
  'PRelu',
  rule(({ e, inputs: [x, slope], gradients: [dy], needs }) => {
    const zero = e.scalar(0, x);
    return [
      needs[0] === true ? e.emit('Where', [e.emit('Greater', [x!, zero]), dy!, e.mul(dy!, slope!)]) : undefined,
      needs[1] === true ? e.sumTo(e.mul(dy!, e.emit('Min', [x!, zero])), slope!) : undefined,
    ];
  }),
  (x, slope) => (x < 0 ? slope * x : x),
);
