import { rule } from './gradient.js';
import type { Operator } from './operator.js';
import { sumMaps } from './support/average-map.js';
import { adjointAlong } from './support/linear-map.js';
import { lpGradient } from './support/lp-pool-gradient.js';
import { inferPool } from './support/pool.js';

/** The p-norm of each window (ai.onnx 2, 11, 18, 22). */
export const lpPool: Operator = {
  opType: 'LpPool',
  domain: '',
  infer: inferPool,
  gradient: rule(({ e, node, inputs: [x], outputs: [y], gradients: [dy] }) => {
    const maps = sumMaps(node, e.dims(x!).slice(2), e.dims(y!).slice(2));
    return [
      lpGradient(e, node.int('p', 2), x!, y!, dy!, (g) =>
        maps.reduceRight((gradient, map, axis) => adjointAlong(e, gradient, axis + 2, map), g),
      ),
    ];
  }),
};
