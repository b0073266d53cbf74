import { zero } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = ⌊x⌋ (ai.onnx 6). */
export const floor = unary('Floor', zero, Math.floor);
