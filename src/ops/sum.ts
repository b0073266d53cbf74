import { rule } from './gradient.js';
import { variadic } from './support/elementwise.js';

/** The sum of all inputs, element by element (ai.onnx 8, broadcast). */
export const sum = variadic(
  'Sum',
  rule(({ e, inputs, gradients: [dy], needs }) =>
    inputs.map((x, i) => (needs[i] === true ? e.sumTo(dy!, x!) : undefined)),
  ),
  (values) => values.reduce((sum, value) => sum + value, 0),
);
