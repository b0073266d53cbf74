import { argReduction } from './support/reduce.js';

/** int64 index of the largest element along an axis (ai.onnx 1). */
export const argMax = argReduction('ArgMax');
