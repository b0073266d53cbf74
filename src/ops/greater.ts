import { comparison } from './support/elementwise.js';

/** Whether a > b (ai.onnx 7, broadcast). */
export const greater = comparison('Greater', (a, b) => a > b);
