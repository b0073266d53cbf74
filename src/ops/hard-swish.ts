import { float } from '../graph/attributes.js';
import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = x·clip(x/6 + 1/2, 0, 1) (ai.onnx 14). The derivatives at −3 and 3 are 0 and 1, as in PyTorch 2.15. */
export const hardSwish = unary(
  'HardSwish',
  elementwise((e, dy, x) => {
    const gate = e.emit('HardSigmoid', [x], { alpha: float(1 / 6), beta: float(0.5) });
    const isInside = e.emit('Less', [e.emit('Abs', [x]), e.scalar(3, x)]);
    return e.mul(dy, e.add(gate, e.scale(e.mul(x, e.indicator(isInside, x)), 1 / 6)));
  }),
);
