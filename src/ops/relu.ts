import { unary } from './support/elementwise.js';

/** y = max(0, x) (ai.onnx 6). */
export const relu = unary('Relu', (x) => Math.max(0, x));
