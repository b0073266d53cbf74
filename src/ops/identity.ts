import { unary } from './support/elementwise.js';

/** y = x (ai.onnx 1). */
export const identity = unary('Identity', (x) => x);
