import { describe, expect, it } from 'vitest';
import type { StudyCell } from '../../src/contracts/study.js';
import { differencesOf, groupsOf } from '../../src/study/summarize.js';

function cell(init: string | null, rankScale: number | null, seed: number, top1: number | null): StudyCell {
  return {
    architecture: 'net',
    regularizer: 'weight decay 0.0001',
    rankScale,
    init,
    seed,
    id: '',
    status: top1 === null ? 'diverged' : 'finished',
    reason: null,
    top1,
    top5: null,
    loss: null,
    bestTop1: top1,
    trainLoss: null,
    epochs: 1,
    curve: [top1],
    params: null,
    macs: null,
    functionError: null,
    seconds: 1,
    isReused: false,
  };
}

describe('a summary of cells', () => {
  const cells = [
    cell(null, null, 0, 0.7),
    cell('spectral', 0.1, 0, 0.5),
    cell('lfai', 0.1, 0, 0.52),
    cell('spectral', 0.1, 1, 0.4),
    cell('lfai', 0.1, 1, 0.44),
    cell('spectral', 0.2, 0, 0.6),
    cell('lfai', 0.2, 0, 0.6),
    cell('spectral', 0.2, 1, null),
    cell('lfai', 0.2, 1, 0.61),
  ];

  it('means over seeds, and counts what diverged', () => {
    const groups = groupsOf(cells);
    expect(groups.map(({ init, rankScale }) => [init, rankScale])).toEqual([
      [null, null],
      ['spectral', 0.1],
      ['lfai', 0.1],
      ['spectral', 0.2],
      ['lfai', 0.2],
    ]);
    const [full, spectral, , diverging] = groups;
    expect(full).toMatchObject({ n: 1, mean: 0.7, deviation: null, ci95: null });
    expect(spectral!.mean).toBeCloseTo(0.45, 12);
    // Two numbers 0.1 apart: 0.1/√2.
    expect(spectral!.deviation).toBeCloseTo(0.0707107, 6);
    expect(diverging).toMatchObject({ n: 1, diverged: 1, missing: 0, mean: 0.6 });
  });

  it('pairs by rank scale and seed, and leaves out pairs without both', () => {
    const differences = differencesOf(cells, 'spectral');
    expect(differences.map(({ init, rankScale, n, leftOut }) => [init, rankScale, n, leftOut])).toEqual([
      ['lfai', 0.1, 2, 0],
      ['lfai', 0.2, 1, 1],
      ['lfai', null, 3, 1],
    ]);
    // 0.02 and 0.04: mean 0.03, deviation 0.0141421, half width 12.7062 · 0.0141421/√2 = 0.127062.
    expect(differences[0]!.mean).toBeCloseTo(0.03, 12);
    expect(differences[0]!.ci95![0]).toBeCloseTo(0.03 - 0.127062, 6);
    expect(differences[0]!.ci95![1]).toBeCloseTo(0.03 + 0.127062, 6);
    expect(differences[1]).toMatchObject({ mean: 0, deviation: null, ci95: null });
    // 0.02, 0.04 and 0: mean 0.02, deviation 0.02, half width 4.302653 · 0.02/√3 = 0.049683.
    expect(differences[2]!.mean).toBeCloseTo(0.02, 12);
    expect(differences[2]!.ci95![1]).toBeCloseTo(0.02 + 0.049683, 6);
  });
});
