import { unary } from './support/elementwise.js';

/** y = sinh x (ai.onnx 9). */
export const sinh = unary('Sinh', Math.sinh);
