import { reduction } from './support/reduce.js';

/** min x over axes: an attribute, since ai.onnx 18 an input. */
export const reduceMin = reduction('ReduceMin', (values) => Math.min(...values));
