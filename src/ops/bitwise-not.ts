import { zero } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = ¬x, bit by bit (ai.onnx 18). */
export const bitwiseNot = unary('BitwiseNot', zero);
