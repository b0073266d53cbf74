import { LowrankError } from '../../errors.js';
import type { Node } from '../../graph/node.js';

/** Whether updates are added; otherwise they replace. Throws UNSUPPORTED for other reductions, whose gradients have no rule. */
export function requireSum(node: Node): boolean {
  const reduction = node.string('reduction', 'none');
  if (reduction === 'none' || reduction === 'add') return reduction === 'add';
  throw new LowrankError('UNSUPPORTED', `${node.opType} has no gradient with reduction '${reduction}'`);
}
