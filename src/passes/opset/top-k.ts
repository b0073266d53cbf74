import { intsInput } from './attributes.js';
import { type Call, type OpsetRule, rules } from './rule.js';

function countToInput(call: Call): void {
  const k = call.node.int('k');
  if (k === undefined) return call.refuse('it has no k');
  call.removeAttribute('k');
  call.setInput(1, intsInput(call, 'k', [k]));
}

export const topK: readonly OpsetRule[] = rules({ TopK: [1, 10, 11] }, { 10: countToInput });
