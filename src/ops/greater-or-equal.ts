import { comparison } from './support/elementwise.js';

/** Whether a ≥ b (ai.onnx 12, broadcast). */
export const greaterOrEqual = comparison('GreaterOrEqual', (a, b) => a >= b);
