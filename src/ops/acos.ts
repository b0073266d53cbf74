import { unary } from './support/elementwise.js';

/** y = arccos x (ai.onnx 7). */
export const acos = unary('Acos', Math.acos);
