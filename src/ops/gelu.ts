import { unary } from './support/elementwise.js';

/** y = x·Φ(x), or its tanh approximation (ai.onnx 20). */
export const gelu = unary('Gelu');
