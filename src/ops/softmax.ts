import { unary } from './support/elementwise.js';

/** exp x divided by its sum (ai.onnx 1; along one axis since 13, over all axes from `axis` on before). */
export const softmax = unary('Softmax');
