import { withoutConsumedInputs } from './in-place.js';
import { type Call, type OpsetRule, rules } from './rule.js';

/**
 * Up to ai.onnx 6, B of A ∘ B is stretched only with `broadcast`: its dimensions stand for those of A from `axis` on, or
 * for the last ones. Since 7 dimensions are aligned at the end, so B gets ones behind: [C] at axis 1 of [N, C, H, W] is
 * [C, 1, 1].
 */
function alignAtEnd(call: Call): void {
  const { node } = call;
  const axis = node.int('axis', -1);
  const isStretched = node.int('broadcast', 0) !== 0 && axis >= 0;
  call.removeAttribute('broadcast');
  call.removeAttribute('axis');
  if (!isStretched) return;
  const [a, b] = node.inputs;
  const rankA = call.typeOf(a)?.dims.length;
  const rankB = call.typeOf(b)?.dims.length;
  if (b === undefined || rankA === undefined || rankB === undefined) {
    return call.refuse('the ranks of its inputs are not known');
  }
  const axes = Array.from({ length: rankA - axis - rankB }, (_, i) => rankB + i);
  if (axes.length === 0) return;
  call.setInput(1, call.insert('Unsqueeze', [b], { axes: { type: 'ints', value: axes } }));
}

/** Operators of two inputs. */
export const broadcast: readonly OpsetRule[] = [
  ...rules(
    {
      Add: [1, 6, 7, 13, 14],
      Div: [1, 6, 7, 13, 14],
      Mul: [1, 6, 7, 13, 14],
      Sub: [1, 6, 7, 13, 14],
    },
    { 6: withoutConsumedInputs, 7: alignAtEnd },
  ),
  ...rules(
    {
      And: [1, 7],
      Equal: [1, 7, 11, 13, 19],
      Greater: [1, 7, 9, 13],
      Less: [1, 7, 9, 13],
      Or: [1, 7],
      Pow: [1, 7, 12, 13, 15],
      Xor: [1, 7],
    },
    { 7: alignAtEnd },
  ),
];

/** One slope per channel: aligned with axis 1 up to ai.onnx 6, broadcast at the end since 7. */
export const pRelu: readonly OpsetRule[] = rules(
  { PRelu: [1, 6, 7, 9, 16] },
  {
    6: withoutConsumedInputs,
    7: (call) => {
      const [x, slope] = call.node.inputs;
      const rank = call.typeOf(x)?.dims.length;
      const dims = call.typeOf(slope)?.dims;
      if (slope === undefined || rank === undefined || dims === undefined) {
        return call.refuse('the shapes of its inputs are not known');
      }
      if (dims.length !== 1 || dims[0] === 1 || rank <= 2) return;
      const axes = Array.from({ length: rank - 2 }, (_, i) => i + 1);
      call.setInput(1, call.insert('Unsqueeze', [slope], { axes: { type: 'ints', value: axes } }));
    },
  },
);
