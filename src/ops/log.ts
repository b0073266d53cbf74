import { elementwise } from './gradient.js';
import { unary } from './support/elementwise.js';

/** y = ln x (ai.onnx 6). */
export const log = unary(
  'Log',
  Math.log,
  '',
  elementwise((e, dy, x) => e.div(dy, x)),
);
