import { binary } from './support/elementwise.js';

/** z = a·b (ai.onnx 7, broadcast). */
export const mul = binary('Mul', (a, b) => a * b);
