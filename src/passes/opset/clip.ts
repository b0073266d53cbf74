import { scalarLikeData } from './attributes.js';
import { withoutConsumedInputs } from './in-place.js';
import { type Call, type OpsetRule, rules } from './rule.js';

/** Since ai.onnx 11 `min` and `max` are inputs; a bound that is left out is none, before and after. */
function boundsToInputs(call: Call): void {
  for (const [index, name] of ['min', 'max'].entries()) {
    const bound = call.node.float(name);
    if (bound === undefined) continue;
    call.removeAttribute(name);
    call.setInput(index + 1, scalarLikeData(call, name, bound));
  }
}

export const clip: readonly OpsetRule[] = rules(
  { Clip: [1, 6, 11, 12, 13] },
  { 6: withoutConsumedInputs, 11: boundsToInputs },
);
