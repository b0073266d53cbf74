import { unary } from './support/elementwise.js';

/** y = arcsin x (ai.onnx 7). */
export const asin = unary('Asin', Math.asin);
