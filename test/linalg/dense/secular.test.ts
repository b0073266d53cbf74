import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRandom } from '../support/random.js';
import { solveSecular } from '../../../src/linalg/dense/secular.js';

function solve(d: readonly number[], z: readonly number[], rho: number): { roots: Float64Array; delta: Float64Array } {
  const count = d.length;
  const delta = new Float64Array(count * count);
  const roots = solveSecular(Float64Array.from(d), Float64Array.from(z), rho, count, delta, count);
  return { roots, delta };
}

describe('solveSecular', () => {
  it('finds one root in each gap, with the trace of the matrix', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 0, max: 2 ** 31 }),
        fc.double({ min: -6, max: 3, noNaN: true }),
        (count, seed, exponent) => {
          const random = createRandom(seed);
          const rho = 10 ** exponent;
          // Gaps over ten orders of magnitude.
          let last = random.normal();
          const d = Array.from({ length: count }, () => (last += 10 ** (-10 * random.uniform())));
          const z = Array.from({ length: count }, () => random.normal() + 0.01);
          const { roots, delta } = solve(d, z, rho);
          const size = Math.max(...d.map(Math.abs), rho * z.reduce((sum, value) => sum + value * value, 0));
          let trace = 0;
          for (let j = 0; j < count; j++) {
            trace += roots[j]! - d[j]! - rho * z[j]! * z[j]!;
            expect(delta[j * count + j]!).toBeLessThan(0);
            if (j + 1 < count) expect(delta[j * count + j + 1]!).toBeGreaterThan(0);
            // At a root the terms cancel to their own rounding: f changes by ε |terms| and by ε |f′| |distance to a pole|.
            let f = 1 / rho;
            let terms = Math.abs(f);
            for (let i = 0; i < count; i++) {
              const term = (z[i]! * z[i]!) / delta[j * count + i]!;
              f += term;
              terms += Math.abs(term);
            }
            expect(Math.abs(f)).toBeLessThan(40 * count * Number.EPSILON * terms);
          }
          expect(Math.abs(trace)).toBeLessThan(10 * count * Number.EPSILON * size);
        },
      ),
      { seed: 7, numRuns: 300 },
    );
  });

  it('solves a single pole and two poles in closed form', () => {
    expect(solve([2], [3], 0.5).roots[0]).toBe(2 + 0.5 * 9);
    const { roots } = solve([0, 1], [1, 1], 1);
    // [[1, 1], [1, 2]]
    expect(roots[0]!).toBeCloseTo((3 - Math.sqrt(5)) / 2, 15);
    expect(roots[1]!).toBeCloseTo((3 + Math.sqrt(5)) / 2, 15);
  });
});
