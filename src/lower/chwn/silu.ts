import { float } from '../../graph/attributes.js';
import type { Value } from '../../graph/value.js';
import { affineSum, blockedFor } from './blocked.js';
import { unscaled } from './gradient.js';
import type { Layout, LowerContext, LoweringRule } from './rule.js';

/** x · Sigmoid(x), with dx = dy · σ(x) · (1 + x − y). */
export const silu: LoweringRule = (node, { isReadOnce, options }) => {
  if (!node.is('Mul')) return undefined;
  const gate = node.inputs.find((value) => value?.producer?.is('Sigmoid') === true);
  const input = gate?.producer?.inputs[0];
  if (gate === undefined || input === undefined || !node.inputs.includes(input) || !isReadOnce(gate)) return undefined;
  return {
    absorbs: [gate.producer!],
    emit: (context) => {
      const { e } = context;
      const layout = context.layoutOf(input);
      const x = layout === 'model' ? context.inModel(input) : context.batchLast(input);
      const sigmoid = options.hasContribOperators ? undefined : e.emit('Sigmoid', [x]);
      const y =
        sigmoid === undefined
          ? e.emit('QuickGelu', [x], { alpha: float(1) }, { domain: 'com.microsoft', name: node.id })
          : e.mul(x, sigmoid);
      context.record({
        inputs: [x],
        outputs: [y],
        label: node.label,
        backward: ([gradient]) => {
          const gate = sigmoid ?? e.emit('Sigmoid', [x]);
          return [{ value: e.mul(e.mul(unscaled(e, gradient!), gate), slopeOf(context, layout, x, y)) }];
        },
      });
      context.define(node.outputs[0]!, y, layout);
    },
  };
};

/** 1 + x − y */
function slopeOf({ e, options }: LowerContext, layout: Layout, x: Value, y: Value): Value {
  const blocked = layout === 'model' ? undefined : blockedFor(e, x, options);
  if (blocked === undefined) return e.add(e.sub(x, y), e.scalar(1, x));
  const [negative, ones] = [-1, 1].map((value) => e.floats(new Float32Array(e.dims(x)[0]!).fill(value)));
  return affineSum(e, y, negative!, ones!, x, blocked);
}
