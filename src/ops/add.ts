import { binary } from './support/elementwise.js';

/** z = a + b (ai.onnx 7, broadcast). */
export const add = binary('Add', (a, b) => a + b);
