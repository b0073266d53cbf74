import { intsInput } from './attributes.js';
import { type Call, type OpsetRule, rules } from './rule.js';

/** Since ai.onnx 10 `starts`, `ends` and `axes` are inputs. */
function boundsToInputs(call: Call): void {
  const { node } = call;
  for (const [index, name] of ['starts', 'ends', 'axes'].entries()) {
    const values = node.ints(name);
    call.removeAttribute(name);
    if (values !== undefined) call.setInput(index + 1, intsInput(call, name, values));
  }
}

export const slice: readonly OpsetRule[] = rules({ Slice: [1, 10, 11, 13] }, { 10: boundsToInputs });
