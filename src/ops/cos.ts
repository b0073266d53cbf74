import { unary } from './support/elementwise.js';

/** y = cos x (ai.onnx 7). */
export const cos = unary('Cos', Math.cos);
