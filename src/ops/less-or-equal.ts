import { comparison } from './support/elementwise.js';

/** Whether a ≤ b (ai.onnx 12, broadcast). */
export const lessOrEqual = comparison('LessOrEqual', (a, b) => a <= b);
