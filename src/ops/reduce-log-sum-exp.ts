import { reduction } from './support/reduce.js';

/** ln Σ exp x over axes: an attribute, since ai.onnx 18 an input. */
export const reduceLogSumExp = reduction('ReduceLogSumExp');
