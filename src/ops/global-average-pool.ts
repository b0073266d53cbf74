import { rule } from './gradient.js';
import { sizeOf } from './support/layout.js';
import { globalPool } from './support/pool.js';

/** The mean of each channel (ai.onnx 1): each of P elements gets dy / P. */
export const globalAveragePool = globalPool(
  'GlobalAveragePool',
  rule(({ e, inputs: [x], gradients: [dy] }) => [e.expandLike(e.scale(dy!, 1 / sizeOf(e.dims(x!).slice(2))), x!)]),
);
