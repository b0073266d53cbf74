import { describe, expect, it } from 'vitest';
import { allOperators } from '../../src/ops/registry.js';
import { checkGradient } from './support/check-gradient.js';
import { elementwiseCases } from './support/elementwise-cases.js';
import { movementCases } from './support/movement-cases.js';
import { reductionCases } from './support/reduction-cases.js';

const table = { ...elementwiseCases, ...movementCases, ...reductionCases };
const nameOf = ({ domain, opType }: { readonly domain: string; readonly opType: string }): string =>
  domain === '' ? opType : `${domain}.${opType}`;

describe('gradient rules against differences', () => {
  for (const operator of allOperators()) {
    for (const [i, gradientCase] of (table[nameOf(operator)] ?? []).entries()) {
      it(`${nameOf(operator)} ${i}`, () =>
        checkGradient({ opType: operator.opType, domain: operator.domain, seed: i + 1, ...gradientCase }));
    }
  }
  it('the table names operators with rules only', () => {
    const withRule = allOperators().filter(({ gradient }) => gradient?.kind === 'rule');
    const rules = new Set(withRule.map(nameOf));
    expect(Object.keys(table).filter((name) => !rules.has(name))).toEqual([]);
  });
});
