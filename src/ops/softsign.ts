import { unary } from './support/elementwise.js';

/** y = x/(1 + |x|) (ai.onnx 1). */
export const softsign = unary('Softsign');
