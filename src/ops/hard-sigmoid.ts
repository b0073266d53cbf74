import { unary } from './support/elementwise.js';

/** y = clip(αx + β, 0, 1) (ai.onnx 6). */
export const hardSigmoid = unary('HardSigmoid');
