import { unary } from './support/elementwise.js';

/** (x − mean) / standard deviation over the axes given (ai.onnx 9). */
export const meanVarianceNormalization = unary('MeanVarianceNormalization');
