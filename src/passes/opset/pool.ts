import { type Call, type OpsetRule, rules } from './rule.js';

/** The p of the norm was a float in ai.onnx 1. */
function integerNorm(call: Call): void {
  const p = call.node.float('p', 2);
  if (!Number.isInteger(p)) return call.refuse(`its norm is of p = ${p}`);
  call.setAttribute('p', { type: 'int', value: p });
}

export const pool: readonly OpsetRule[] = [
  ...rules({ GlobalLpPool: [1, 2, 22], LpPool: [1, 2, 11, 18, 22] }, { 2: integerNorm }),
  ...rules({ AveragePool: [1, 7, 10, 11, 19, 22] }, {}),
];
