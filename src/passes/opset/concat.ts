import { type Call, type OpsetRule, rules } from './rule.js';

function sayAxis(call: Call): void {
  if (call.node.int('axis') === undefined) call.setAttribute('axis', { type: 'int', value: 1 });
}

/** Up to ai.onnx 3 the axis is 1 where nothing is said. */
export const concat: readonly OpsetRule[] = rules({ Concat: [1, 4, 11, 13] }, { 4: sayAxis });
