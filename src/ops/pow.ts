import { binary } from './support/elementwise.js';

/** z = a^b, of the type of a (ai.onnx 7, broadcast). */
export const pow = binary('Pow', (a, b) => a ** b);
