import { intsInput, scalarLikeData } from './attributes.js';
import { type Call, type OpsetRule, refusal, rules } from './rule.js';

/** Since ai.onnx 11 `pads` and `value` are inputs. */
function padsToInputs(call: Call): void {
  const { node } = call;
  const value = node.float('value', 0);
  call.setInput(1, intsInput(call, 'pads', node.ints('pads') ?? []));
  if (value !== 0) call.setInput(2, scalarLikeData(call, 'value', value));
  call.removeAttribute('pads');
  call.removeAttribute('value');
}

export const pad: readonly OpsetRule[] = rules(
  { Pad: [1, 2, 11, 13, 18, 19, 21, 23] },
  { 2: refusal('its margins were called paddings in ai.onnx 1'), 11: padsToInputs },
);
