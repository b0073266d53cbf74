import { reduction } from './support/reduce.js';

/** ln Σx over axes: an attribute, since ai.onnx 18 an input. */
export const reduceLogSum = reduction('ReduceLogSum');
