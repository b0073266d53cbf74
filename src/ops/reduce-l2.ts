import { reduction } from './support/reduce.js';

/** √Σx² over axes: an attribute, since ai.onnx 18 an input. */
export const reduceL2 = reduction('ReduceL2');
