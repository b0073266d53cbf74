import { unary } from './support/elementwise.js';

/** y = 1/x (ai.onnx 6). */
export const reciprocal = unary('Reciprocal', (x) => 1 / x);
