import type { Model } from '../../../src/graph/model.js';
import type { Pass } from '../../../src/passes/runner.js';

/**
 * y = Identity(x): readers of y read x. A graph output keeps its Identity, because its name is the model's interface, and
 * so does a value that a body of If, Loop or Scan reads by name.
 */
export const removeIdentity: Pass = {
  name: 'remove-identity',
  summary: 'readers of an Identity read its input',
  run: ({ graph }: Model, { refuse }) => {
    let changes = 0;
    for (const node of [...graph.nodes]) {
      const [x] = node.inputs;
      const [y] = node.outputs;
      if (!node.is('Identity') || x === undefined || y === undefined) continue;
      if (y.isOutput) refuse(node, `'${y.name}' is an output of the model`);
      else if (y.uses.some(({ index }) => index < 0)) refuse(node, `'${y.name}' is read inside control flow`);
      else {
        graph.replaceUses(y, x);
        graph.removeNode(node);
        changes++;
      }
    }
    return changes;
  },
};
