import { variadic } from './support/elementwise.js';

/** The sum of all inputs, element by element (ai.onnx 8, broadcast). */
export const sum = variadic('Sum', (values) => values.reduce((sum, value) => sum + value, 0));
