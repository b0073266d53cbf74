import { comparison } from './support/elementwise.js';

/** Whether a = b (ai.onnx 7, broadcast). */
export const equal = comparison('Equal', (a, b) => a === b);
