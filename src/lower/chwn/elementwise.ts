import { emitTraining } from '../../autodiff/copy-forward.js';
import type { Value } from '../../graph/value.js';
import { nonlinearElementWise } from '../../ops/element-wise.js';
import type { LowerContext, LoweringRule } from './rule.js';

/** Operators of ai.onnx that work element by element on operands that broadcast, whatever the axes mean. */
const operators: ReadonlySet<string> = new Set([
  ...nonlinearElementWise,
  ...[
    'Add',
    'And',
    'Cast',
    'Div',
    'Equal',
    'Greater',
    'GreaterOrEqual',
    'Less',
    'LessOrEqual',
    'Mean',
    'Mul',
    'Neg',
    'Not',
    'Or',
    'Sub',
    'Sum',
    'Where',
    'Xor',
  ],
]);

/** Element-wise operators, in the layout of what they read, with their own gradients. */
export const elementwise: LoweringRule = (node, { dims }) => {
  if (node.domain !== '' || !operators.has(node.opType)) return undefined;
  const ranks = node.inputs.map((value) => (value === undefined ? 0 : dims(value).length));
  const rank = Math.max(...ranks);
  return {
    emit: (context) => {
      const isLast = node.inputs.some(
        (value, i) => value !== undefined && ranks[i] === rank && context.layoutOf(value) === 'batch-last',
      );
      const inputs = node.inputs.map((value) => {
        if (value === undefined) return undefined;
        return isLast ? operand(context, value, rank) : context.inModel(value);
      });
      const [result] = context.recordNodes(() => emitTraining(context.e, node, inputs, () => undefined, []));
      context.define(node.outputs[0]!, result!, isLast ? 'batch-last' : 'model');
    },
  };
};

/** An operand that broadcasts in the batch-last layout as it does in the model's. */
function operand(context: LowerContext, value: Value, rank: number): Value {
  const { e } = context;
  const dims = context.dims(value);
  // One element broadcasts in any layout; the bounds of Clip must stay as they are.
  if (dims.length < rank && dims.every((dim) => dim === 1)) return context.inModel(value);
  if (dims.length === rank) return context.batchLast(value);
  const inModel = context.inModel(value);
  const missing = Array.from({ length: rank - 1 - dims.length }, () => 1);
  // Without a batch axis of its own: [C, 1, 1] is [C, 1, 1, 1].
  const result = e.reshape(inModel, [...missing, ...dims, 1]);
  context.record({
    inputs: [inModel],
    outputs: [result],
    label: `the operand '${value.name}'`,
    backward: ([gradient]) => [{ value: e.reshapeLike(e.expandLike(gradient!.value, result), inModel) }],
  });
  return result;
}
