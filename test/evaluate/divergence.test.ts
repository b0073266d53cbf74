import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { divergence } from '../../src/evaluate/divergence.js';
import type { EndKind } from '../../src/passes/classifier-end.js';

const of = (original: readonly number[], converted: readonly number[], kind: EndKind) =>
  divergence(Float64Array.from(original), Float64Array.from(converted), kind, 'float32');

const kl = (p: readonly number[], q: readonly number[]): number =>
  p.reduce((sum, share, i) => sum + share * Math.log(share / q[i]!), 0);

describe('divergence', () => {
  const p = [0.5, 0.3, 0.2];
  const q = [0.1, 0.6, 0.3];
  // A few operations in float64 on numbers near 1.
  const digits = 14;

  it('is KL(p ‖ q), whatever form the classes come in', () => {
    const logits = (shares: readonly number[], shift: number): number[] => shares.map((x) => Math.log(x) + shift);
    expect(of(p, q, 'softmax').kl).toBeCloseTo(kl(p, q), digits);
    expect(of(logits(p, 0), logits(q, 0), 'log-softmax').kl).toBeCloseTo(kl(p, q), digits);
    // The shifts cost their own rounding, 1000 · 2^-52.
    expect(of(logits(p, 1000), logits(q, -1000), 'logits').kl).toBeCloseTo(kl(p, q), 12);
    for (const kind of ['softmax', 'log-softmax', 'logits'] as const) {
      expect(of(p, q, kind).isSameClass).toBe(false);
      expect(of(p, p, kind)).toEqual({ kl: 0, isSameClass: true });
    }
  });

  it('takes shares that do not sum to 1 by their sum', () => {
    expect(of([50, 30, 20], q, 'softmax').kl).toBeCloseTo(kl(p, q), digits);
  });

  it('is the mean over classes where they do not exclude each other', () => {
    const parts = p.map((share, i) => kl([share, 1 - share], [q[i]!, 1 - q[i]!]));
    expect(of(p, q, 'sigmoid').kl).toBeCloseTo((parts[0]! + parts[1]! + parts[2]!) / 3, digits);
    expect(of(p, q, 'sigmoid').isSameClass).toBeNull();
  });

  it('stays finite where a probability rounds to 0 or 1', () => {
    expect(of([0, 1], [0, 1], 'softmax').kl).toBe(0);
    expect(of([0.5, 0.5], [0, 1], 'softmax').kl).toBeCloseTo(
      0.5 * (Math.log(0.5) - Math.log(2 ** -149)) + 0.5 * Math.log(0.5),
      digits - 2,
    );
    expect(of([1, 0], [0, 1], 'sigmoid').kl).toBeCloseTo((149 + 25) * Math.LN2 * 0.5, digits - 2);
    expect(of([-Infinity, 0], [-Infinity, 0], 'log-softmax').kl).toBe(0);
    expect(of([0, 1000], [0, 1000], 'logits').kl).toBe(0);
    expect(of([0, 1000], [1000, 0], 'logits').kl).toBe(1000);
    expect(divergence(Float64Array.of(1), Float64Array.of(0), 'sigmoid', 'float16').kl).toBeCloseTo(24 * Math.LN2, 10);
  });

  it('is NaN where there is no distribution', () => {
    for (const values of [
      [NaN, 1],
      [0, Infinity],
      [-Infinity, -Infinity],
    ]) {
      expect(of(values, [0, 1], 'logits').kl).toBeNaN();
      expect(of([0, 1], values, 'logits').kl).toBeNaN();
    }
    expect(of([0, 0], [0, 1], 'softmax').kl).toBeNaN();
    expect(of([0, 1], [0, 0], 'softmax').kl).toBeNaN();
    expect(of([0.5], [1.5], 'sigmoid').kl).toBeNaN();
  });

  it('is never negative', () => {
    const numbers = fc.array(fc.double({ min: -30, max: 30, noNaN: true }), { minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(numbers, numbers, (a, b) => {
        expect(of(a, b, 'logits').kl).toBeGreaterThanOrEqual(0);
        expect(of(a, a, 'logits').kl).toBeLessThan(1e-13);
      }),
    );
  });
});
