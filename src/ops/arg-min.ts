import { argReduction } from './support/reduce.js';

/** int64 index of the smallest element along an axis (ai.onnx 1). */
export const argMin = argReduction('ArgMin');
