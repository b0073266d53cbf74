import { isFloatType } from '../onnx/data-type.js';
import type { Pass } from './runner.js';

/** Tensors of Constant nodes become initializers of the same name, so that weights kept there can be trained. */
export const constantsToInitializers: Pass = {
  name: 'constants-to-initializers',
  summary: 'float tensors of Constant nodes become initializers',
  run: ({ graph }) => {
    let changes = 0;
    for (const node of [...graph.nodes]) {
      const tensor = node.is('Constant') ? node.tensor('value') : undefined;
      const value = node.outputs[0];
      if (tensor === undefined || value === undefined || value.isOutput || !isFloatType(tensor.dataType)) continue;
      if (value.uses.some(({ index }) => index < 0)) continue;
      const { name } = value;
      const stand = graph.addInitializer(tensor.renamed(graph.uniqueName(`${name}.constant`)));
      graph.replaceUses(value, stand);
      graph.removeNode(node);
      const initializer = graph.addInitializer(tensor.renamed(name));
      graph.replaceUses(stand, initializer);
      graph.removeIfUnused(stand);
      changes++;
    }
    return changes;
  },
};
