import { unary } from './support/elementwise.js';

/** y = cosh x (ai.onnx 9). */
export const cosh = unary('Cosh', Math.cosh);
