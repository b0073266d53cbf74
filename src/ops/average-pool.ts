import { rule } from './gradient.js';
import type { Operator } from './operator.js';
import { averageMaps } from './support/average-map.js';
import { adjointAlong } from './support/linear-map.js';
import { inferPool } from './support/pool.js';

/** The mean of each window (ai.onnx 7, 10, 11, 19, 22): a linear map along each spatial axis, and so is the gradient. */
export const averagePool: Operator = {
  opType: 'AveragePool',
  domain: '',
  infer: inferPool,
  gradient: rule(({ e, node, inputs: [x], gradients: [dy] }) => {
    const maps = averageMaps(node, e.dims(x!).slice(2), e.dims(dy!).slice(2));
    return [maps.reduceRight((gradient, map, axis) => adjointAlong(e, gradient, axis + 2, map), dy!)];
  }),
};
