import { ownDomain } from '../../ops/lowrank-drop-path.js';
import type { LoweringRule } from './rule.js';

/** A residual branch that is dropped for some samples: the batch is the last axis, so the mask is a vector [N]. */
export const dropPath: LoweringRule = (node) => {
  if (node.domain !== ownDomain || node.opType !== 'DropPath') return undefined;
  return {
    emit: (context) => {
      const { e, source } = context;
      const x = context.batchLast(node.inputs[0]!);
      const shape = e.dims(x).map(() => 1);
      const mask = source.masks?.(node.id, shape.slice(1), node.float('ratio') ?? 0);
      const y = mask === undefined ? x : context.recordNodes(() => e.mul(x, e.reshape(mask, [-1])));
      context.define(node.outputs[0]!, y, 'batch-last');
    },
  };
};
