import { predicate } from './support/elementwise.js';

/** Whether x is NaN (ai.onnx 9). */
export const isNaN = predicate('IsNaN', (x) => (Number.isNaN(x) ? 1 : 0));
