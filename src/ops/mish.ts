import { unary } from './support/elementwise.js';

/** y = x·tanh(softplus x) (ai.onnx 18). */
export const mish = unary('Mish');
