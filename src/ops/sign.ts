import { zero } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = sign x (ai.onnx 9). */
export const sign = unary('Sign', zero, Math.sign);
