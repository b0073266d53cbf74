import { rule } from './gradient.js';
import { lpGradient } from './support/lp-pool-gradient.js';
import { globalPool } from './support/pool.js';

/** The p-norm of each channel (ai.onnx 1). */
export const globalLpPool = globalPool(
  'GlobalLpPool',
  rule(({ e, node, inputs: [x], outputs: [y], gradients: [dy] }) => [
    // A number per channel is broadcast as it meets x.
    lpGradient(e, node.int('p', 2), x!, y!, dy!, (g) => g),
  ]),
);
