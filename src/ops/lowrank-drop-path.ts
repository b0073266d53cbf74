import { none } from './gradient.js';
import type { Operator } from './operator.js';
import { input, known } from './support/known.js';

/** Of our own markers: operators that are put into a model for training, and into no file. */
export const ownDomain = 'lowrank';

/**
 * Stochastic depth (Huang et al., arXiv 1603.09382): y = x in inference; in training a sample's branch is 0 with
 * probability `ratio` and x / (1 − ratio) otherwise, by a mask [N, 1, …]. Our own marker of a residual branch: it is put into
 * a model for training and is never written, to no file and no runtime.
 */
export const lowrankDropPath: Operator = {
  opType: 'DropPath',
  domain: ownDomain,
  gradient: none('it is never emitted: its training form is a product'),
  inference: ({ inputs: [x] }) => [x],
  training: ({ node, e, inputs: [x], mask }) => {
    const shape = e.dims(x!).map(() => 1);
    const drawn = mask(node.id, shape.slice(1), node.float('ratio') ?? 0);
    return { outputs: [drawn === undefined ? x : e.mul(x!, drawn)] };
  },
  infer: (context) => {
    const x = input(context, 0);
    return [known(x.dataType, x.dims)];
  },
};
