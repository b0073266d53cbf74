import { unary } from './support/elementwise.js';

/** y = x where x ≥ 0, else α(exp x − 1) (ai.onnx 6). */
export const elu = unary('Elu');
