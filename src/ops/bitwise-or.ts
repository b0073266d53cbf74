import { zero } from './gradient.js';
import { binary } from './support/elementwise.js';

/** z = a ∨ b, bit by bit (ai.onnx 18, broadcast). */
export const bitwiseOr = binary('BitwiseOr', zero);
