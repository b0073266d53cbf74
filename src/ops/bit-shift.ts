import { zero } from './gradient.js';
import { binary } from './support/elementwise.js';

/** z = a shifted by b bits (ai.onnx 11, broadcast). */
export const bitShift = binary('BitShift', zero);
