import { unary } from './support/elementwise.js';

/** y = γx where x > 0, else γα(exp x − 1) (ai.onnx 6). */
export const selu = unary('Selu');
