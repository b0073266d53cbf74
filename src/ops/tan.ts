import { unary } from './support/elementwise.js';

/** y = tan x (ai.onnx 7). */
export const tan = unary('Tan', Math.tan);
