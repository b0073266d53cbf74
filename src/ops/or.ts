import { comparison } from './support/elementwise.js';

/** Whether a ∨ b (ai.onnx 7, broadcast). */
export const or = comparison('Or', (a, b) => a !== 0 || b !== 0);
