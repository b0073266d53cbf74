import { reduction, reductionGradient } from './support/reduce.js';

/** mean x over axes: an attribute, since ai.onnx 18 an input. */
export const reduceMean = reduction(
  'ReduceMean',
  reductionGradient((e, { dy, x, axes }) => e.div(dy, e.count(x, axes))),
  (values) => values.reduce((sum, value) => sum + value, 0) / values.length,
);
