import { ancestors, sortedAncestors } from '../graph/ancestors.js';
import { LowrankError } from '../errors.js';
import { float } from '../graph/attributes.js';
import type { Graph } from '../graph/graph.js';
import type { Model } from '../graph/model.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { ownDomain } from '../ops/lowrank-drop-path.js';

/** A residual sum and its branch: the operand that is not the shortcut. */
export interface ResidualBranch {
  readonly add: Node;
  /** Of the branch, among the inputs of `add`. */
  readonly index: 0 | 1;
}

const layers: ReadonlySet<string> = new Set(['Conv', 'Gemm', 'MatMul']);

/**
 * The residual sums before `output`, in order. Both operands of such an Add come from one value, where they part; the one
 * with fewer layers in between (none, or a projection) is the shortcut. Sums whose operands have equally many are none.
 */
export function findResidualBranches(graph: Graph, output: Value): readonly ResidualBranch[] {
  const nodes = sortedAncestors(graph, output);
  const position = new Map(nodes.map((node, i) => [node, i]));
  return nodes.flatMap((add): ResidualBranch[] => {
    const [a, b] = add.inputs;
    if (!add.is('Add') || a?.producer === undefined || b?.producer === undefined) return [];
    const [beforeA, beforeB] = [ancestors(a), ancestors(b)];
    const common = [...beforeA].filter((node) => beforeB.has(node));
    const fork = common.reduce<Node | undefined>(
      (last, node) => (last === undefined || position.get(node)! > position.get(last)! ? node : last),
      undefined,
    );
    // Without a common node both may come from the input itself; that is no residual block of layers either.
    if (fork === undefined) return [];
    const shared = new Set([fork]);
    for (const value of fork.inputs) {
      if (value !== undefined) for (const node of ancestors(value)) shared.add(node);
    }
    const depth = (operand: ReadonlySet<Node>): number =>
      [...operand].filter((node) => !shared.has(node) && layers.has(node.opType)).length;
    const [depthA, depthB] = [depth(beforeA), depth(beforeB)];
    return depthA === depthB ? [] : [{ add, index: depthA > depthB ? 0 : 1 }];
  });
}

/**
 * Marks the residual branches for stochastic depth (Huang et al., arXiv 1603.09382): the l-th of L is dropped for a share
 * `ratio` · l / L of the samples. Throws UNSUPPORTED where the model has none.
 */
export function setDropPath(model: Model, output: Value, ratio: number): void {
  const { graph } = model;
  const branches = findResidualBranches(graph, output);
  if (branches.length === 0) {
    throw new LowrankError('UNSUPPORTED', `a drop path of ${ratio} has no place: the model has no residual branches`, {
      place: `output '${output.name}'`,
      remedy: 'give --drop-path 0',
    });
  }
  model.opsets.set(ownDomain, 1);
  branches.forEach(({ add, index }, i) => {
    const branch = add.inputs[index]!;
    const kept = graph.addValue(graph.uniqueName(`${branch.name}.kept`));
    graph.addNode(
      {
        opType: 'DropPath',
        domain: ownDomain,
        name: graph.uniqueNodeName(`drop-path.${i + 1}`),
        inputs: [branch],
        outputs: [kept],
        attributes: { ratio: float((ratio * (i + 1)) / branches.length) },
      },
      { before: add },
    );
    graph.setInput(add, index, kept);
  });
}
