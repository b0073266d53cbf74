import * as operators from './index.js';
import type { Operator } from './operator.js';

const byName = new Map<string, Operator>(
  Object.values(operators).map((operator) => [`${operator.domain}:${operator.opType}`, operator]),
);

/** The rules of an operator; undefined where this project has none. `domain` is "" for ai.onnx. */
export function findOperator(domain: string, opType: string): Operator | undefined {
  return byName.get(`${domain}:${opType}`);
}
