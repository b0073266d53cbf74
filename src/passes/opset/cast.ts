import { castTarget } from '../../ops/support/cast-target.js';
import { type Call, type OpsetRule, rules } from './rule.js';

/** `to` was the name of a type up to ai.onnx 5, and is its code since 6. */
function nameToCode(call: Call): void {
  const code = castTarget(call.node);
  if (code === undefined) return call.refuse('it does not say to what type');
  call.setAttribute('to', { type: 'int', value: code });
}

export const cast: readonly OpsetRule[] = rules({ Cast: [1, 6, 9, 13, 19, 21, 23] }, { 6: nameToCode });
