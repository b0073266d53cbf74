import { unary } from './support/elementwise.js';

/** x divided by its p-norm along an axis (ai.onnx 1). */
export const lpNormalization = unary('LpNormalization');
