import { float } from '../../graph/attributes.js';
import type { Node } from '../../graph/node.js';
import type { Value } from '../../graph/value.js';
import type { LowerContext, LoweringRule } from './rule.js';

/** Above any 1/y of a float: HardSigmoid with this slope is 0 at 0 and 1 at every positive normal number. */
export const steep = 1e38;

/** max(0, x), with the derivative as min(1, max(0, steep · y)): one fast pass where comparisons take two. */
export function rectified({ e, record }: LowerContext, node: Node, x: Value): Value {
  const y = e.emit('Relu', [x], {}, { name: node.id });
  record({
    inputs: [x],
    outputs: [y],
    label: node.label,
    backward: ([gradient]) => {
      const mask = e.emit('HardSigmoid', [y], { alpha: float(steep), beta: float(0) });
      return [{ value: e.mul(gradient!.value, mask), scale: gradient!.scale }];
    },
  });
  return y;
}

/** Relu, in the layout of what it reads. */
export const relu: LoweringRule = (node) => {
  const [input] = node.inputs;
  if (!node.is('Relu') || input === undefined) return undefined;
  return {
    emit: (context) => {
      const layout = context.layoutOf(input);
      const x = layout === 'model' ? context.inModel(input) : context.batchLast(input);
      context.define(node.outputs[0]!, rectified(context, node, x), layout);
    },
  };
};
