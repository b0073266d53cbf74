import { reduction } from './support/reduce.js';

/** Πx over axes: an attribute, since ai.onnx 18 an input. */
export const reduceProd = reduction('ReduceProd', (values) => values.reduce((product, value) => product * value, 1));
