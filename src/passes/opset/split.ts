import { moveInts } from './attributes.js';
import { type Call, type OpsetRule, rules } from './rule.js';

/** In ai.onnx 1 the sizes could be an input; from 2 to 12 they are an attribute. */
function sizesToAttribute(call: Call): void {
  const [, given] = call.node.inputs;
  if (given === undefined) return;
  const sizes = call.constantOf(given);
  if (sizes === undefined) return call.refuse('its sizes are computed');
  const { opType, name, inputs, outputs, attributes } = call.node;
  const withSizes = { ...Object.fromEntries(attributes), split: { type: 'ints', value: sizes } as const };
  call.replace([{ opType, name, inputs: [inputs[0]], outputs: [...outputs], attributes: withSizes }]);
}

/** Since ai.onnx 18 equal parts need their number said. */
function sayCount(call: Call): void {
  const { node } = call;
  if (node.inputs[1] !== undefined) return;
  call.setAttribute('num_outputs', { type: 'int', value: node.outputs.length });
}

export const split: readonly OpsetRule[] = rules(
  { Split: [1, 2, 11, 13, 18] },
  { 2: sizesToAttribute, 13: (call) => moveInts(call, 'split', 1), 18: sayCount },
);
