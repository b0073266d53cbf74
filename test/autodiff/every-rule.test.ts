import { describe, expect, it } from 'vitest';
import { allOperators } from '../ops/support/operators.js';
import { checkGradient } from './support/check-gradient.js';
import { type CaseTable, elementwiseCases } from './support/elementwise-cases.js';
import { movementCases } from './support/movement-cases.js';
import { reductionCases } from './support/reduction-cases.js';
import { structuredCases } from './support/structured-cases.js';

const table: CaseTable = { ...elementwiseCases, ...movementCases, ...reductionCases, ...structuredCases };
const nameOf = ({ domain, opType }: { readonly domain: string; readonly opType: string }): string =>
  domain === '' ? opType : `${domain}.${opType}`;

describe('gradient rules against differences', () => {
  for (const operator of allOperators) {
    for (const [i, gradientCase] of (table[nameOf(operator)] ?? []).entries()) {
      it(`${nameOf(operator)} ${i}`, () =>
        checkGradient({ opType: operator.opType, domain: operator.domain, seed: i + 1, ...gradientCase }));
    }
  }
  it('the table names every operator with a rule, and no other', () => {
    const withRule = allOperators.filter(({ gradient }) => gradient.kind === 'rule');
    const checked = Object.keys(table).filter((name) => table[name]!.length > 0);
    expect(checked.toSorted()).toEqual(withRule.map(nameOf).toSorted());
  });
  it('an operator without one says why', () => {
    for (const { gradient } of allOperators) {
      if (gradient.kind === 'none') expect(gradient.reason.length).toBeGreaterThan(10);
    }
  });
});
