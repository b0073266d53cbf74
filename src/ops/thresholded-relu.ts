import { unary } from './support/elementwise.js';

/** y = x where x > α, else 0 (ai.onnx 10). */
export const thresholdedRelu = unary('ThresholdedRelu');
