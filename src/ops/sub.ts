import { binary } from './support/elementwise.js';

/** z = a − b (ai.onnx 7, broadcast). */
export const sub = binary('Sub', (a, b) => a - b);
