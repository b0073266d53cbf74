import { unary } from './support/elementwise.js';

/** y = exp x (ai.onnx 6). */
export const exp = unary('Exp', Math.exp);
