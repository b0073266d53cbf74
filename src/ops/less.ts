import { comparison } from './support/elementwise.js';

/** Whether a < b (ai.onnx 7, broadcast). */
export const less = comparison('Less', (a, b) => a < b);
