import { rule } from './gradient.js';
import { variadic } from './support/elementwise.js';

/** The mean of all inputs, element by element (ai.onnx 8, broadcast). */
export const mean = variadic(
  'Mean',
  rule(({ e, inputs, gradients: [dy], needs }) =>
    inputs.map((x, i) => (needs[i] === true ? e.scale(e.sumTo(dy!, x!), 1 / inputs.length) : undefined)),
  ),
  (values) => values.reduce((sum, value) => sum + value, 0) / values.length,
);
