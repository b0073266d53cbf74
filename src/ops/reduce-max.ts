import { reduction } from './support/reduce.js';

/** max x over axes: an attribute, since ai.onnx 18 an input. */
export const reduceMax = reduction('ReduceMax', (values) => Math.max(...values));
