import { describe, expect, it } from 'vitest';
import type { ConvertOptions } from '../../src/convert/options.js';
import { resolveSettings } from '../../src/convert/settings.js';
import { failureOf } from '../support/errors.js';

describe('settings', () => {
  it('have the documented defaults', () => {
    expect(resolveSettings({})).toMatchObject({
      ranks: { rankMode: { kind: 'scale', scale: 0.25, base: 'min' }, scheme: 'auto' },
      selection: { keepFirst: true, keepLast: true },
      seed: 0,
      verification: { verify: true },
    });
  });

  it('have a floor where the rank may collapse', () => {
    expect(resolveSettings({ vbmf: true }).ranks.rankMode).toEqual({ kind: 'vbmf', floor: 0.1 });
    expect(resolveSettings({ stableRank: 3 }).ranks.rankMode).toEqual({ kind: 'stable-rank', factor: 3, floor: 0 });
    expect(resolveSettings({ vbmf: false, energy: 0.5 }).ranks.rankMode).toEqual({ kind: 'energy', fraction: 0.5 });
  });

  const wrong: readonly [string, ConvertOptions, RegExp][] = [
    ['two rank modes', { rankScale: 0.5, energy: 0.9 }, /--rank-scale and --energy contradict/],
    ['a rank base without a scale', { rankBase: 'out', paramsBudget: 0.5 }, /--rank-base and --params-budget/],
    ['a scale of 0', { rankScale: 0 }, /--rank-scale 0 is not in/],
    ['a scale above 1', { rankScale: 1.5 }, /--rank-scale 1.5/],
    ['a budget of 1', { macsBudget: 1 }, /--macs-budget 1/],
    ['two that are switches', { vbmf: true, stableRank: 2 }, /--vbmf and --stable-rank contradict/],
    ['a stable rank of 0 times', { stableRank: 0 }, /--stable-rank 0 is not a positive number/],
    ['a floor above 1', { vbmf: true, rankFloor: 1.1 }, /--rank-floor 1.1 is not in/],
    ['a floor with energy', { energy: 0.9, rankFloor: 0.1 }, /--rank-floor does nothing with --energy/],
    ['NaN', { energy: Number.NaN }, /--energy NaN/],
    ['a fractional multiple', { rankMultiple: 2.5 }, /--rank-multiple 2.5/],
    ['a negative seed', { seed: -1 }, /--seed -1/],
  ];

  it.each(wrong)('refuse %s', async (_, options, message) => {
    const failure = await failureOf('USAGE', () => resolveSettings(options));
    expect(failure.message).toMatch(message);
  });
});
