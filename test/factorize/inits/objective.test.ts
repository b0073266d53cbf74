import { describe, expect, it } from 'vitest';
import { cases } from '../support/expectation.js';
import { objective } from '../support/objective.js';
import { freshWeight } from '../support/weights.js';

describe.each(cases)('objective, $name', ({ activation }) => {
  it.each([1, 3])('has the gradient of its value, %d rows per neuron', (rowsPerNeuron) => {
    const weight = freshWeight(6, 5, 3);
    weight.data.forEach((x, i) => (weight.data[i] = 2.5 * x));
    const problem = { weight, rowsPerNeuron, activation, rank: 2 };
    const left = Float64Array.from(freshWeight(6, 2, 4).data, (x) => 1.5 * x);
    const right = Float64Array.from(freshWeight(2, 5, 5).data);
    const { byLeft, byRight } = objective(problem, left, right);
    for (const [factor, gradient] of [
      [left, byLeft],
      [right, byRight],
    ] as const) {
      const largest = Math.max(...gradient.map(Math.abs));
      factor.forEach((x, i) => {
        const h = 1e-4;
        factor[i] = x + h;
        const above = objective(problem, left, right).value;
        factor[i] = x - h;
        const below = objective(problem, left, right).value;
        factor[i] = x;
        // h² times a third derivative of order 1, and 1e-10 (the quadrature of the piecewise rules) over h.
        expect(Math.abs((above - below) / (2 * h) - gradient[i]!)).toBeLessThan(1e-6 * Math.max(1, largest));
      });
    }
  });

  it('is stationary at the weight itself', () => {
    const weight = freshWeight(4, 3, 9);
    const identity = Float64Array.from({ length: 9 }, (_, i) => (i % 4 === 0 ? 1 : 0));
    const { value, byLeft, byRight } = objective(
      { weight, rowsPerNeuron: 1, activation, rank: 3 },
      Float64Array.from(weight.data),
      identity,
    );
    expect(value).toBe(0);
    // Differences of closed forms: rounding of the sums.
    for (const slope of [...byLeft, ...byRight]) expect(Math.abs(slope)).toBeLessThan(1e-12);
  });
});
