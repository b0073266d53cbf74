import { variadic } from './support/elementwise.js';

/** The mean of all inputs, element by element (ai.onnx 8, broadcast). */
export const mean = variadic('Mean', (values) => values.reduce((sum, value) => sum + value, 0) / values.length);
