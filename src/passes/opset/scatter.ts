import { type Call, type OpsetRule, rules } from './rule.js';

function rename(call: Call): void {
  const { name, inputs, outputs, attributes } = call.node;
  call.replace([
    {
      opType: 'ScatterElements',
      name,
      inputs: [...inputs],
      outputs: [...outputs],
      attributes: Object.fromEntries(attributes),
    },
  ]);
}

/** Scatter is called ScatterElements since ai.onnx 11. */
export const scatter: readonly OpsetRule[] = rules({ Scatter: [9, 11] }, { 11: rename });
