import { whole } from './gradient.js';
import type { LoweringRule } from './rule.js';

const operators: ReadonlySet<string> = new Set(['Flatten', 'Reshape', 'Squeeze', 'Unsqueeze', 'Identity']);

/** Operators that give the elements of each image another shape, and leave the batch first. */
export const reshape: LoweringRule = (node, { dims }) => {
  const [input] = node.inputs;
  const output = node.outputs[0];
  if (node.domain !== '' || !operators.has(node.opType) || input === undefined || output === undefined)
    return undefined;
  const [from, to] = [dims(input), dims(output)];
  if (from.length < 2 || to.length < 2 || from[0] !== to[0]) return undefined;
  return {
    emit: (context) => {
      const { e } = context;
      const layout = context.layoutOf(input);
      const x = layout === 'model' ? context.inModel(input) : context.batchLast(input);
      const y = e.reshape(x, layout === 'model' ? to : [...to.slice(1), to[0]!]);
      if (y !== x) {
        context.record({
          inputs: [x],
          outputs: [y],
          label: node.label,
          backward: ([gradient]) => {
            const { value, scale } = gradient!;
            if (e.dims(x)[0] === e.dims(y)[0]) return [{ value: e.reshapeLike(e.expandLike(value, y), x), scale }];
            return [{ value: e.reshapeLike(whole(e, gradient!, y), x) }];
          },
        });
      }
      context.define(output, y, layout);
    },
  };
};
