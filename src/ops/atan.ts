import { unary } from './support/elementwise.js';

/** y = arctan x (ai.onnx 7). */
export const atan = unary('Atan', Math.atan);
