import { unary } from './support/elementwise.js';

/** y = 1/(1 + exp(−x)) (ai.onnx 6). */
export const sigmoid = unary('Sigmoid', (x) => 1 / (1 + Math.exp(-x)));
