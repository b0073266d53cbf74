import { isFloatType } from '../onnx/data-type.js';
import { becomeInitializer, canBecomeInitializer } from './become-initializer.js';
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
      if (tensor === undefined || value === undefined || !isFloatType(tensor.dataType)) continue;
      if (!canBecomeInitializer(value)) continue;
      becomeInitializer(graph, value, tensor);
      changes++;
    }
    return changes;
  },
};
