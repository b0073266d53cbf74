import { unary } from './support/elementwise.js';

/** y = max(0, x) + min(0, α(exp(x/α) − 1)) (ai.onnx 12). */
export const celu = unary('Celu');
