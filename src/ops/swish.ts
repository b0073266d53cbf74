import { unary } from './support/elementwise.js';

/** y = x·sigmoid(αx) (ai.onnx 24). */
export const swish = unary('Swish');
