import { unary } from './support/elementwise.js';

/** y = x·clip(x/6 + 1/2, 0, 1) (ai.onnx 14). */
export const hardSwish = unary('HardSwish');
