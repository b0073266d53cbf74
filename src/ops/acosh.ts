import { unary } from './support/elementwise.js';

/** y = arcosh x (ai.onnx 9). */
export const acosh = unary('Acosh', Math.acosh);
