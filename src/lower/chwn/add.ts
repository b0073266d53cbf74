import { sameDims } from './same-dims.js';
import type { LoweringRule } from './rule.js';

/** Add of two values of one shape: both get the gradient as it is, worked out or not. */
export const add: LoweringRule = (node, { dims }) => {
  const [a, b] = node.inputs;
  if (!node.is('Add') || a === undefined || b === undefined || !sameDims(dims(a), dims(b))) return undefined;
  return {
    emit: (context) => {
      const { e } = context;
      const layout = [a, b].some((value) => context.layoutOf(value) === 'batch-last') ? 'batch-last' : 'model';
      const [x, y] = [a, b].map((value) => (layout === 'model' ? context.inModel(value) : context.batchLast(value)));
      const sum = e.emit('Add', [x, y], {}, { name: node.id });
      context.record({
        inputs: [x, y],
        outputs: [sum],
        label: node.label,
        backward: ([gradient]) => [gradient, gradient],
      });
      context.define(node.outputs[0]!, sum, layout);
    },
  };
};
