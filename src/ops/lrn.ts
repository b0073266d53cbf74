import { unary } from './support/elementwise.js';

/** Local response normalization across channels (ai.onnx 1). */
export const lrn = unary('LRN');
