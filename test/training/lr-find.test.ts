import { describe, expect, it } from 'vitest';
import { fillTruncatedNormal, randomStream } from '../../src/random.js';
import type { LrFindPoint, LrFindReport } from '../../src/contracts/lr-find.js';
import { renderLrFindTable } from '../../src/report/lr-find-table.js';
import { PLAIN } from '../../src/report/terminal.js';
import { rateAt, suggest } from '../../src/training/lr-find.js';

/** A curve over the test's own rates. */
const curve = (loss: (logRate: number) => number) =>
  Array.from({ length: 100 }, (_, i) => {
    const lr = rateAt(i);
    return { lr, loss: 0, smoothed: loss(Math.log10(lr)) };
  });

describe('the learning-rate range test', () => {
  it('rises from 1e-6 to 1 by one factor', () => {
    expect(rateAt(0)).toBe(1e-6);
    expect(rateAt(99)).toBeCloseTo(1, 12);
    expect(rateAt(51) / rateAt(50)).toBeCloseTo(rateAt(11) / rateAt(10), 12);
  });

  it('finds where the loss falls fastest and where it is smallest', () => {
    // Falls as a logistic around 10^-3, explodes from 10^-1 on.
    const points = curve((x) => 2 - 1 / (1 + Math.exp(-4 * (x + 3))) + Math.max(0, x + 1));
    const { steepest, smallest, suggestion } = suggest(points);
    // The grid is 10^(6/99) = 1.15 apart.
    expect(Math.abs(Math.log10(steepest!) + 3)).toBeLessThan(0.061);
    expect(Math.abs(Math.log10(smallest) + 1)).toBeLessThan(0.061);
    expect(suggestion).toBe(smallest / 10);
  });

  it('suggests nothing where the loss never falls', () => {
    expect(suggest(curve((x) => 3 + x / 10))).toMatchObject({
      steepest: null,
      suggestion: null,
      reason: 'the loss never falls below the 2.4545 that it begins with',
    });
    // A test that ends at once, as where a good model loses all.
    expect(suggest(curve((x) => -x).slice(0, 6))).toMatchObject({
      suggestion: null,
      reason: 'the test ended after 6 updates',
    });
  });

  it.each([1, 2, 3])('suggests nothing where batches differ by more than the loss falls (seed %i)', (seed) => {
    const noise = new Float32Array(100);
    fillTruncatedNormal(randomStream(seed, 'batches'), noise, 0, 0.2);
    let mean = 0;
    const measured = (fall: (x: number) => number): readonly LrFindPoint[] => {
      mean = 0;
      return Array.from(noise, (value, i) => {
        const loss = 1 + value - fall(Math.log10(rateAt(i)));
        mean = 0.9 * mean + 0.1 * loss;
        return { lr: rateAt(i), loss, smoothed: mean / (1 - 0.9 ** (i + 1)) };
      });
    };
    const { suggestion, reason } = suggest(measured(() => 0));
    expect(suggestion).toBe(null);
    expect(reason).toMatch(/^the loss (never falls below|falls from .* no more than it differs from batch to batch)/);
    const falling = suggest(measured((x) => 0.8 / (1 + Math.exp(-4 * (x + 3)))));
    expect(falling.reason).toBe(null);
    expect(falling.suggestion).toBe(falling.smallest / 10);
  });

  it('says in one line that it suggests nothing', () => {
    const points = curve((x) => 3 + x / 10);
    const report: LrFindReport = {
      schema: 'lowrank.lr-find/1',
      tool: { name: 'lowrank', version: '0' },
      seed: 0,
      model: { path: 'm.onnx', sha256: '' },
      settings: {},
      points,
      ...suggest(points),
      stopped: null,
      seconds: 1,
    };
    const text = renderLrFindTable(report, PLAIN);
    expect(text).toMatch(
      /^suggestion {2}none: the loss never falls below the 2\.4545 that it begins with; check --normalization/m,
    );
    expect(text).not.toMatch(/steepest|smallest|--lr /);
  });
});
