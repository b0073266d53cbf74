import { describe, expect, it } from 'vitest';
import { drawMasks } from '../../src/step/masks.js';

const masks = [
  { name: 'mask.dropout', shape: [500], ratio: 0.3 },
  { name: 'mask.block', shape: [1, 1, 1], ratio: 0.2 },
];

describe('drawMasks', () => {
  it('drops the share that is asked for, and keeps the expectation', () => {
    const values = drawMasks(masks, 200, 5, 17, 0)['mask.dropout']!;
    expect(values.length).toBe(100_000);
    expect(new Set(values)).toEqual(new Set([0, Math.fround(1 / 0.7)]));
    const dropped = values.filter((value) => value === 0).length / values.length;
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    // Five standard deviations: √(0.3 · 0.7 / 10⁵) = 0.00145, and that over 0.7 for the mean.
    expect(Math.abs(dropped - 0.3)).toBeLessThan(0.0073);
    expect(Math.abs(mean - 1)).toBeLessThan(0.0104);
  });

  it('has one number per sample for a branch', () => {
    expect(drawMasks(masks, 16, 5, 17, 0)['mask.block']!.length).toBe(16);
  });

  it('depends on seed, step, micro-batch and name alone', () => {
    const draw = (seed: number, step: number, micro: number): string =>
      JSON.stringify(drawMasks(masks, 8, seed, step, micro));
    expect(draw(5, 17, 0)).toBe(draw(5, 17, 0));
    const others = [draw(5, 17, 0), draw(6, 17, 0), draw(5, 18, 0), draw(5, 17, 1)];
    expect(new Set(others).size).toBe(4);
    const twin = drawMasks([{ ...masks[0]!, name: 'mask.other' }], 8, 5, 17, 0)['mask.other']!;
    expect([...twin]).not.toEqual([...drawMasks(masks, 8, 5, 17, 0)['mask.dropout']!]);
  });
});
