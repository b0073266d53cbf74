import { unary } from './support/elementwise.js';

/** y = arsinh x (ai.onnx 9). */
export const asinh = unary('Asinh', Math.asinh);
