import { predicate } from './support/elementwise.js';

/** y = ¬x (ai.onnx 1). */
export const not = predicate('Not', (x) => (x === 0 ? 1 : 0));
