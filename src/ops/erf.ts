import { unary } from './support/elementwise.js';

/** y = erf x, the error function (ai.onnx 9). */
export const erf = unary('Erf');
