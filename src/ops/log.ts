import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = ln x (ai.onnx 6). */
export const log = unary(
  'Log',
  elementwise((e, dy, x) => e.div(dy, x)),
  Math.log,
);
