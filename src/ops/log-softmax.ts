import { unary } from './support/elementwise.js';

/** Logarithm of Softmax (ai.onnx 1; along one axis since 13). */
export const logSoftmax = unary('LogSoftmax');
