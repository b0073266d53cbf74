import { unary } from './support/elementwise.js';

/** y = tanh x (ai.onnx 6). */
export const tanh = unary('Tanh', Math.tanh);
