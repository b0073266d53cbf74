import { intsInput } from './attributes.js';
import { type Call, type OpsetRule, refusal, rules } from './rule.js';

function shapeToInput(call: Call): void {
  call.setInput(1, intsInput(call, 'shape', call.node.ints('shape') ?? []));
  call.removeAttribute('shape');
  call.removeAttribute('consumed_inputs');
}

export const reshape: readonly OpsetRule[] = [
  ...rules({ Reshape: [1, 5, 13, 14, 19, 21, 23] }, { 5: shapeToInput }),
  ...rules({ Tile: [1, 6, 13] }, { 6: refusal('its form of ai.onnx 1 repeats one axis a computed number of times') }),
];
