import { unary } from './support/elementwise.js';

/** y = sin x (ai.onnx 7). */
export const sin = unary('Sin', Math.sin);
