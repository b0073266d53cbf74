import { describe, expect, it } from 'vitest';
import { rankBy, settledEpochs, settlingRule } from '../../src/warmup/stable-ranks.js';

const range = (count: number): readonly number[] => Array.from({ length: count }, (_, i) => i);
/** Falls by `step` an epoch. */
const falling = (count: number, step: number): readonly number[] => range(count).map((i) => 100 - step * i);

describe('the rule', () => {
  it('is that of CIFAR up to 64 pixels, of ImageNet beyond', () => {
    expect(settlingRule(64, 300)).toMatchObject({ points: 15, window: 11, threshold: 0.1 });
    expect(settlingRule(224, 90)).toMatchObject({ points: 5, window: 5, threshold: 0.33, leastShare: 0.2 });
    expect(range(5).map((left) => settlingRule(32, 300).relaxation(left))).toEqual([1, 5, 2.5, 1, 1]);
    expect(range(9).map((left) => settlingRule(224, 90).relaxation(left))).toEqual([5, 5, 5, 5, 2.5, 2.5, 2.5, 1, 1]);
  });

  it('looks at no more than a quarter of the epochs, and at two points at least', () => {
    expect(settlingRule(32, 48)).toMatchObject({ points: 12, window: 11 });
    expect(settlingRule(32, 20)).toMatchObject({ points: 5, window: 5 });
    expect(settlingRule(224, 3)).toMatchObject({ points: 2, window: 2 });
  });
});

describe('settled epochs', () => {
  const rule = settlingRule(32, 300);

  it('begin behind as many as the average has points, and not before', () => {
    const still = range(15).map(() => 7);
    expect(settledEpochs([still, still, still], rule)).toEqual([null, null, null]);
    expect(
      settledEpochs(
        [
          [...still, 7],
          [...still, 7],
          [...still, 7],
        ],
        rule,
      ),
    ).toEqual([15, 15, 15]);
    expect(settledEpochs([], rule)).toEqual([]);
  });

  it('come when the mean step of the moving average is small', () => {
    // Of a line the average has the slope, but for its start, where 1 - (7/8)^i of it.
    const slope = (step: number): readonly (number | null)[] =>
      settledEpochs(
        range(4).map(() => falling(30, step)),
        rule,
      );
    expect(slope(0.09)).toEqual([15, 15, 15, 15]);
    expect(slope(0.2)).toEqual([null, null, null, null]);
    // Behind a fall it takes as long as the window remembers it.
    const fall = [...falling(16, 1), ...range(60).map(() => 85)];
    const [one] = settledEpochs(
      range(4).map(() => fall),
      rule,
    );
    const average: number[] = [];
    for (const value of fall) average.push(value / 8 + (7 / 8) * (average.at(-1) ?? value));
    const mean = (epoch: number): number => {
      const own = average.slice(0, epoch + 1);
      const at = (i: number): number => own[Math.min(epoch, Math.max(0, i))]!;
      const steps = own.map((_, i) => Math.abs(at(i + 1) - at(i - 1)) / (i === 0 || i === epoch ? 1 : 2));
      return steps.slice(-11).reduce((sum, step) => sum + step, 0) / 11;
    };
    expect(mean(one!)).toBeLessThanOrEqual(0.1);
    expect(mean(one! - 1)).toBeGreaterThan(0.1);
  });

  it('come earlier for the last layers, and stay', () => {
    const still = range(40).map(() => 7);
    const moving = falling(40, 0.2);
    const fast = falling(40, 0.4);
    // Alone 0.5 is allowed, of two 0.25.
    expect(settledEpochs([still, moving, fast], rule)).toEqual([15, 16, 17]);
    expect(settledEpochs([still, moving, fast, fast], rule)).toEqual([15, null, null, null]);
    expect(settledEpochs([[...still, 90, 0, 90]], rule)).toEqual([15]);
  });
});

describe('the rank', () => {
  it('is the full rank times what is left of the stable rank, rounded up', () => {
    const rule = settlingRule(32, 300);
    expect(rankBy({ start: 32, epochs: [30, 8], maxRank: 64 }, rule)).toBe(16);
    expect(rankBy({ start: 30, epochs: [7], maxRank: 64 }, rule)).toBe(15);
    expect(rankBy({ start: 30, epochs: [40], maxRank: 64 }, rule)).toBe(64);
    expect(rankBy({ start: 30, epochs: [0], maxRank: 64 }, rule)).toBe(1);
    expect(rankBy({ start: 0, epochs: [3], maxRank: 64 }, rule)).toBe(64);
    expect(rankBy({ start: 30, epochs: [1], maxRank: 64 }, settlingRule(224, 90))).toBe(13);
  });
});
