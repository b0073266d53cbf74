import { makeInitializers } from './become-initializer.js';
import type { Pass } from './runner.js';

/**
 * y = Identity(initializer) becomes an initializer y of its own. PyTorch's exporter writes equal tensors once and the others
 * as such copies: all BatchNormalization weights of a fresh network, and its running variances, are one tensor of ones.
 * They are not the same parameter.
 */
export const copiesToInitializers: Pass = {
  name: 'copies-to-initializers',
  summary: 'an Identity of a float initializer becomes an initializer of its own',
  run: ({ graph }) =>
    makeInitializers(graph, graph.sorted(), (node) => (node.is('Identity') ? node.inputs[0]?.tensor : undefined)),
};
