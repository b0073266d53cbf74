import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { breakEvenRank, factorMacs, factorParams, fullMacs, maxRank, weightCount } from '../../src/rewrite/geometry.js';
import { matchesGlob } from '../../src/rewrite/glob.js';

const seed = 11;
const side = fc.integer({ min: 1, max: 30 });
const geometry = fc.record({
  out: fc.integer({ min: 1, max: 64 }),
  in: fc.integer({ min: 1, max: 64 }),
  kernel: fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 5 })),
  inputSize: fc.tuple(side, side),
  outputSize: fc.tuple(side, side),
  batch: fc.integer({ min: 1, max: 4 }),
});

describe(`counts (seed ${seed})`, () => {
  it('the break-even rank is the largest that saves parameters and MACs', () => {
    fc.assert(
      fc.property(geometry, fc.constantFrom('spatial', 'channel'), (g, scheme) => {
        const saves = (rank: number): boolean =>
          factorParams(g, scheme, rank) < weightCount(g) && factorMacs(g, scheme, rank) < fullMacs(g);
        const rank = breakEvenRank(g, scheme);
        if (rank > 0) expect(saves(rank)).toBe(true);
        expect(rank === maxRank(g, scheme) || !saves(rank + 1)).toBe(true);
      }),
      { seed, numRuns: 1000 },
    );
  });

  it('ResNet-50 layer2.0.conv2: 3×3, 128 → 128, stride 2, 56² → 28²', () => {
    const g = { out: 128, in: 128, kernel: [3, 3], inputSize: [56, 56], outputSize: [28, 28], batch: 1 } as const;
    expect(fullMacs(g)).toBe(115_605_504);
    // 1×3 at 56×28, then 3×1 at 28×28.
    expect(factorMacs(g, 'spatial', 1)).toBe(128 * 3 * 56 * 28 + 128 * 3 * 28 * 28);
    expect(factorMacs(g, 'channel', 1)).toBe((128 * 9 + 128) * 28 * 28);
    expect(maxRank(g, 'spatial')).toBe(384);
  });
});

describe('globs', () => {
  it.each([
    ['/layer1/layer1.0/conv1/Conv', '*conv1*', true],
    ['layer1.0.conv1.weight', 'layer1.*', true],
    ['layer1.0.conv1.weight', 'layer2.*', false],
    ['a+b(c)', 'a+b(c)', true],
    ['conv10', 'conv?', false],
  ])('%s against %s: %s', (name, pattern, expected) => {
    expect(matchesGlob(name, pattern)).toBe(expected);
  });
});
