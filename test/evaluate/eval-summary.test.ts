import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { comparePredictions, summarizePredictions } from '../../src/evaluate/eval-summary.js';

const NAMES = ['cat', 'dog', 'owl'];

describe('summarizePredictions', () => {
  it('counts by hand', () => {
    const summary = summarizePredictions(
      { labels: [0, 0, 0, 1, 1], predicted: [0, 1, 0, 1, 0], inTop5: [1, 1, 1, 1, 0], losses: [1, 2, 3, 4, 5] },
      NAMES,
    );
    expect(summary).toMatchObject({ n: 5, top1: 3 / 5, top5: 4 / 5, loss: 3 });
    expect(summary.perClass).toEqual([
      { class: 0, name: 'cat', n: 3, top1: 2 / 3, top5: 1, predicted: 3, precision: 2 / 3 },
      { class: 1, name: 'dog', n: 2, top1: 1 / 2, top5: 1 / 2, predicted: 2, precision: 1 / 2 },
      { class: 2, name: 'owl', n: 0, top1: null, top5: null, predicted: 0, precision: null },
    ]);
    expect(summary.confusion).toEqual([
      { actual: 0, predicted: 0, count: 2 },
      { actual: 0, predicted: 1, count: 1 },
      { actual: 1, predicted: 0, count: 1 },
      { actual: 1, predicted: 1, count: 1 },
    ]);
    // statsmodels: proportion_confint(3, 5, 0.05, method='wilson').
    expect(summary.ci95[0]).toBeCloseTo(0.2307, 4);
    expect(summary.ci95[1]).toBeCloseTo(0.8824, 4);
  });

  it('agrees with itself: classes and cells sum to the whole', () => {
    const images = fc.array(fc.tuple(fc.nat(19), fc.nat(19), fc.boolean()), { minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(images, (rows) => {
        const names = Array.from({ length: 20 }, (_, index) => `class ${index}`);
        const summary = summarizePredictions(
          {
            labels: rows.map(([label]) => label),
            predicted: rows.map(([, guess]) => guess),
            inTop5: rows.map(([label, guess, isTop5]) => Number(isTop5 || label === guess)),
            losses: rows.map(() => 0.5),
          },
          names,
        );
        const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
        expect(sum(summary.confusion.map(({ count }) => count))).toBe(rows.length);
        expect(sum(summary.perClass.map(({ n }) => n))).toBe(rows.length);
        expect(sum(summary.perClass.map(({ predicted }) => predicted))).toBe(rows.length);
        const hits = sum(summary.confusion.filter((cell) => cell.actual === cell.predicted).map(({ count }) => count));
        expect(summary.top1).toBe(hits / rows.length);
        expect(summary.top5).toBeGreaterThanOrEqual(summary.top1);
        expect(summary.loss).toBe(0.5);
      }),
      { seed: 4 },
    );
  });

  it('refuses no images, different lengths and classes beyond the names', () => {
    const one = { labels: [0], predicted: [0], inTop5: null, losses: [0] };
    expect(() => summarizePredictions({ labels: [], predicted: [], inTop5: null, losses: [] }, NAMES)).toThrow(
      /no image/,
    );
    expect(() => summarizePredictions({ ...one, losses: [] }, NAMES)).toThrow(/predictions of/);
    expect(() => summarizePredictions({ ...one, labels: [3] }, NAMES)).toThrow(/beyond 3 classes/);
    expect(summarizePredictions(one, NAMES).top5).toBeNull();
  });
});

describe('comparePredictions', () => {
  it('counts the images that only one model has right', () => {
    const labels = [0, 1, 2, 0, 1, 2];
    const comparison = comparePredictions(labels, [0, 1, 2, 0, 0, 0], [0, 0, 0, 0, 1, 1]);
    expect(comparison).toMatchObject({
      top1: 3 / 6,
      difference: 1 / 6,
      discordant: { onlyFirst: 2, onlySecond: 1 },
      pValue: 1,
    });
    expect(comparison.ci95[0]).toBeLessThan(1 / 6);
    expect(comparison.ci95[1]).toBeGreaterThan(1 / 6);
  });

  it('finds no difference of a model from itself', () => {
    expect(comparePredictions([0, 1], [0, 0], [0, 0])).toMatchObject({ difference: 0, pValue: 1 });
    expect(() => comparePredictions([0], [0], [])).toThrow(/labels of 1/);
  });
});
