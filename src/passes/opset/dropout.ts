import { floatInput } from './attributes.js';
import { withoutConsumedInputs } from './in-place.js';
import { type Call, type OpsetRule, rules } from './rule.js';

/** Since ai.onnx 7 it copies its input in inference; up to 6 only with `is_test`. */
function requireInference(call: Call): void {
  if (call.node.int('is_test', 0) === 0) call.refuse('it drops at random (is_test = 0)');
  call.removeAttribute('is_test');
}

/** The mask, a tensor of the data's type up to ai.onnx 9, is of bool since 10. */
function withoutMask(call: Call): void {
  const { opType, name, inputs, outputs, attributes } = call.node;
  const [y, mask] = outputs;
  if (mask === undefined) return;
  if (mask.uses.length > 0 || mask.isOutput) call.refuse('its mask is read');
  call.replace([{ opType, name, inputs: [...inputs], outputs: [y], attributes: Object.fromEntries(attributes) }]);
}

/** `ratio` is an input since ai.onnx 12, and `training_mode`, false where it is left out, another. */
function ratioToInput(call: Call): void {
  const ratio = call.node.float('ratio');
  // A mask that says what was kept is all zeros in onnxruntime before 12, all ones since.
  withoutMask(call);
  if (ratio === undefined) return;
  call.removeAttribute('ratio');
  call.setInput(1, floatInput(call, 'ratio', ratio));
}

export const dropout: readonly OpsetRule[] = rules(
  { Dropout: [1, 6, 7, 10, 12, 13, 22] },
  { 6: withoutConsumedInputs, 7: requireInference, 10: withoutMask, 12: ratioToInput },
);
