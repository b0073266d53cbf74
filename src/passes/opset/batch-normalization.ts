import { scalarLikeData } from './attributes.js';
import { withoutConsumedInputs } from './in-place.js';
import { type Call, type OpsetRule, rules } from './rule.js';

/** Up to ai.onnx 6 `is_test` (default 0) chose between the form that trains and inference. */
function requireInference(call: Call): void {
  if (call.node.int('is_test', 0) === 0) call.refuse('it is in training form (is_test = 0)');
  call.removeAttribute('is_test');
}

/** With `spatial` = 0 every element has statistics of its own: y = scale · (x − mean) / √(variance + ε) + bias, broadcast. */
function withoutSpatial(call: Call): void {
  const { node } = call;
  const [x, scale, bias, mean, variance] = node.inputs;
  const rank = call.typeOf(x)?.dims.length;
  const isPerChannel = node.int('spatial', 1) !== 0 || rank === 2;
  call.removeAttribute('spatial');
  if (isPerChannel) return;
  if (node.outputs.slice(1).some((value) => value !== undefined)) call.refuse('it is in training form');
  const epsilon = scalarLikeData(call, 'epsilon', node.float('epsilon', 1e-5));
  const deviation = call.insert('Sqrt', [call.insert('Add', [variance!, epsilon])]);
  const centered = call.insert('Sub', [x!, mean!]);
  const normalized = call.insert('Div', [centered, deviation]);
  const scaled = call.insert('Mul', [normalized, scale!]);
  call.replace([{ opType: 'Add', name: node.name, inputs: [scaled, bias], outputs: [node.outputs[0]] }]);
}

/**
 * From ai.onnx 7 to 13 more than one output means the form that trains; since 14 `training_mode` says so, and the saved
 * statistics (outputs 3 and 4) are gone.
 */
function sayTraining(call: Call): void {
  const { node } = call;
  const [y, mean, variance, ...saved] = node.outputs;
  if (node.outputs.slice(1).every((value) => value === undefined)) return;
  const isRead = saved.some((value) => value !== undefined && (value.uses.length > 0 || value.isOutput));
  if (isRead) call.refuse('its saved statistics are read');
  const attributes = { ...Object.fromEntries(node.attributes), training_mode: { type: 'int', value: 1 } as const };
  const { opType, name, inputs } = node;
  call.replace([{ opType, name, inputs: [...inputs], outputs: [y, mean, variance], attributes }]);
}

export const batchNormalization: readonly OpsetRule[] = rules(
  { BatchNormalization: [1, 6, 7, 9, 14, 15] },
  { 6: withoutConsumedInputs, 7: requireInference, 9: withoutSpatial, 14: sayTraining },
);
