import { binary } from './support/elementwise.js';

/** y = x where x ≥ 0, else slope·x (ai.onnx 7, broadcast). */
export const pRelu = binary('PRelu', (x, slope) => (x < 0 ? slope * x : x));
