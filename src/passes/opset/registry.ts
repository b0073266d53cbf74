import * as families from './index.js';
import type { OpsetRule } from './rule.js';

const byName = new Map<string, OpsetRule>(
  Object.values(families)
    .flat()
    .map((rule) => [rule.opType, rule]),
);

/** The history of an ai.onnx operator; undefined where this project has none. */
export function findRule(opType: string): OpsetRule | undefined {
  return byName.get(opType);
}

/** Why a call written for opset `from` may not be taken as it is at opset `to`; undefined where it may. */
export function changeBetween(opType: string, from: number, to: number): string | undefined {
  const rule = findRule(opType);
  if (rule === undefined) return `what changed in it from opset ${from} to ${to} is not known`;
  if (rule.since > from) return `opset ${from} does not have it, it came with ${rule.since}`;
  const changed = Object.entries(rule.steps).find(
    ([version, step]) => Number(version) > from && Number(version) <= to && step !== 'compatible',
  );
  return changed === undefined ? undefined : `it changed in opset ${changed[0]}`;
}
