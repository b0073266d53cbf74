import { predicate } from './support/elementwise.js';

/** Whether x is infinite, of the signs asked for (ai.onnx 10). */
export const isInf = predicate('IsInf');
