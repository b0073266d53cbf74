import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Choice, solveBudget } from '../../src/factorize/budget.js';

const seed = 7;

const choice = fc.record({ cost: fc.integer({ min: 1, max: 50 }), error: fc.integer({ min: 0, max: 100 }) });
const layers = fc.array(fc.array(choice, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 4 });

function sums(problem: readonly (readonly Choice[])[], picked: readonly number[]): Choice {
  return picked.reduce(
    (sum, index, layer) => ({
      cost: sum.cost + problem[layer]![index]!.cost,
      error: sum.error + problem[layer]![index]!.error,
    }),
    { cost: 0, error: 0 },
  );
}

function* everyPick(problem: readonly (readonly Choice[])[]): Generator<number[]> {
  const [first, ...rest] = problem;
  if (first === undefined) {
    yield [];
    return;
  }
  for (const tail of everyPick(rest)) for (let i = 0; i < first.length; i++) yield [i, ...tail];
}

describe(`budget solver (seed ${seed})`, () => {
  it('keeps the budget wherever a pick can, and says so where none can', () => {
    fc.assert(
      fc.property(layers, fc.integer({ min: 1, max: 150 }), (problem, budget) => {
        const picked = solveBudget(problem, budget);
        const feasible = [...everyPick(problem)].some((pick) => sums(problem, pick).cost <= budget);
        expect(picked !== undefined).toBe(feasible);
        if (picked !== undefined) expect(sums(problem, picked).cost).toBeLessThanOrEqual(budget);
      }),
      { seed, numRuns: 500 },
    );
  });

  it('is optimal where errors fall convexly with cost, up to one step of one layer', () => {
    // tail energies of sorted squares are convex in the rank; the relaxation then loses at most one step.
    const convex = fc
      .array(fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 2, maxLength: 4 }), { minLength: 2, maxLength: 4 })
      .map((all) =>
        all.map((squares) => {
          const sorted = [...squares].sort((a, b) => b - a);
          return sorted.map((_, rank): Choice => ({
            cost: rank + 1,
            error: sorted.slice(rank + 1).reduce((sum, square) => sum + square, 0),
          }));
        }),
      );
    fc.assert(
      fc.property(convex, fc.integer({ min: 4, max: 16 }), (problem, budget) => {
        const picked = solveBudget(problem, budget);
        const feasible = [...everyPick(problem)]
          .map((pick) => sums(problem, pick))
          .filter(({ cost }) => cost <= budget);
        if (picked === undefined) return;
        // Unit costs and convex errors: greedy is exactly optimal.
        expect(sums(problem, picked).error).toBe(Math.min(...feasible.map(({ error }) => error)));
      }),
      { seed, numRuns: 300 },
    );
  });
});
