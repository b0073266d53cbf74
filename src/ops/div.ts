import { binary } from './support/elementwise.js';

/** z = a/b, integers rounded towards zero (ai.onnx 7, broadcast). */
export const div = binary('Div', (a, b) => a / b);
