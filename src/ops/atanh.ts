import { unary } from './support/elementwise.js';

/** y = artanh x (ai.onnx 9). */
export const atanh = unary('Atanh', Math.atanh);
