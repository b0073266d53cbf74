import { reduction } from './support/reduce.js';

/** Σ|x| over axes: an attribute, since ai.onnx 18 an input. */
export const reduceL1 = reduction('ReduceL1');
