import { unary } from './support/elementwise.js';

/** y = x where x ≥ 0, else αx (ai.onnx 6). */
export const leakyRelu = unary('LeakyRelu');
