import { describe, expect, it } from 'vitest';
import { growthInterval, initialLossScale, type LossScale, nextLossScale } from '../../src/step/loss-scale.js';
import { failureOf } from '../support/errors.js';

describe('the scale of the loss in float16', () => {
  it('is halved where a gradient is not finite, and doubled after 2000 good updates in a row', () => {
    let scale: LossScale = initialLossScale;
    expect(scale.scale).toBe(65536);
    scale = nextLossScale(scale, false);
    expect(scale).toEqual({ scale: 32768, updates: 0, skipped: 1 });
    for (let i = 1; i < growthInterval; i++) scale = nextLossScale(scale, true);
    expect(scale).toEqual({ scale: 32768, updates: 1999, skipped: 1 });
    expect(nextLossScale(scale, true)).toEqual({ scale: 65536, updates: 0, skipped: 1 });
    // A bad one begins the count anew.
    scale = nextLossScale(scale, false);
    expect(scale).toEqual({ scale: 16384, updates: 0, skipped: 2 });
  });

  it('does not fall below 1', async () => {
    let scale: LossScale = initialLossScale;
    for (let i = 0; i < 16; i++) scale = nextLossScale(scale, false);
    expect(scale.scale).toBe(1);
    const failure = await failureOf('NUMERIC', () => nextLossScale(scale, false));
    expect(failure.message).toMatch(/not finite in float16, even at a loss scale of 1.*bfloat16/);
  });
});
