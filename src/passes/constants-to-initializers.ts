import { makeInitializers } from './become-initializer.js';
import type { Pass } from './runner.js';

/** Tensors of Constant nodes become initializers of the same name, so that weights kept there can be trained. */
export const constantsToInitializers: Pass = {
  name: 'constants-to-initializers',
  summary: 'float tensors of Constant nodes become initializers',
  run: ({ graph }) =>
    makeInitializers(graph, [...graph.nodes], (node) => (node.is('Constant') ? node.tensor('value') : undefined)),
};
