import { variadic } from './support/elementwise.js';
import { extremeGradient } from './support/extreme.js';

/** The smallest of all inputs, element by element (ai.onnx 8, broadcast). */
export const min = variadic('Min', extremeGradient, (values) => Math.min(...values));
