import { zero } from './gradient.js';
import { unary } from './support/elementwise.js';

/** 1 at the largest element along an axis, 0 elsewhere (ai.onnx 1). */
export const hardmax = unary('Hardmax', zero);
