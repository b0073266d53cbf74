import { unary } from './support/elementwise.js';

/** y = x ± bias outside [−λ, λ], 0 inside (ai.onnx 9). */
export const shrink = unary('Shrink');
