import { variadic } from './support/elementwise.js';
import { extremeGradient } from './support/extreme.js';

/** The largest of all inputs, element by element (ai.onnx 8, broadcast). */
export const max = variadic('Max', extremeGradient, (values) => Math.max(...values));
