import { beforeAll, describe, expect, it } from 'vitest';
import { type Fit, fitPlans } from '../../src/factorize/fit.js';
import { fitsOfSearch, type KnownFits, knownFits } from '../../src/factorize/known-fits.js';
import type { Plan } from '../../src/factorize/plan-types.js';
import { tinyClassifier } from '../support/tiny-classifier.js';
import { imagesOf } from './support/images.js';
import { fittingTests } from './support/linalg.js';
import { type Observed, observe } from './support/sensitive.js';

const tests = fittingTests();
let observed: Observed;

beforeAll(async () => {
  observed = await observe(tinyClassifier(), imagesOf('x', [8, 3, 16, 16], [8]), tests.linalg, {});
});

const plansOf = (ranks: readonly number[]): Plan[] =>
  observed.candidates
    .slice(0, ranks.length)
    .map((candidate, index) => ({ candidate, trials: [{ scheme: 'channel', rank: ranks[index]! }], note: '' }));

const fit = (ranks: readonly number[], known: KnownFits): Promise<Fit[]> =>
  fitPlans(plansOf(ranks), { linalg: tests.linalg, init: 'spectral', seed: 0, knownFits: known });

describe('pairs of a search', () => {
  it('are fitted once for each layer, scheme and rank', async () => {
    const known = knownFits();
    const [first, second] = await fit([2, 3], known);
    const [same, other] = await fit([2, 2], known);
    expect(same!.pair).toBe(first!.pair);
    expect(other!.rank).toBe(2);
    expect(other!.pair).not.toBe(second!.pair);
    const alone = await fit([2, 2], knownFits());
    expect(alone.map(({ pair, weightError }) => ({ pair, weightError }))).toEqual(
      [same!, other!].map(({ pair, weightError }) => ({ pair, weightError })),
    );
  });

  it('are left alone where other pairs are only measured', async () => {
    const known = knownFits();
    const [own] = await fit([2], known);
    const half = { ...own!.pair, left: { ...own!.pair.left, data: own!.pair.left.data.map((value) => value / 2) } };
    const context = { linalg: tests.linalg, init: 'spectral', seed: 0, knownFits: known } as const;
    const [measured] = await fitPlans(plansOf([2]), { ...context, pairOf: () => half });
    expect(measured!.pair.left).toEqual(half.left);
    expect((await fit([2], known))[0]!.pair).toBe(own!.pair);
  });

  it('are forgotten, the oldest first, where they take too many bytes', async () => {
    const [first] = await fit([2], knownFits());
    const { left, right } = first!.pair;
    const known = knownFits(left.data.byteLength + right.data.byteLength);
    await fit([2], known);
    await fit([1], known);
    expect(known.get(first!.candidate.layer.name, { scheme: 'channel', rank: 2 })).toBeUndefined();
    expect(known.get(first!.candidate.layer.name, { scheme: 'channel', rank: 1 })).toBeDefined();
  });

  it('of models with other ranks are others, where a layer is fitted to what the layers before have become', () => {
    const fits = fitsOfSearch();
    const [plans, others] = [plansOf([2, 3]), plansOf([2, 2])];
    expect(fits.of('whitened', others)).toBe(fits.of('whitened', plans));
    expect(fits.of('spectral', plans)).not.toBe(fits.of('whitened', plans));
    const own = fits.of('lfai-data', plans);
    expect(fits.of('lfai-data', plansOf([2, 3]))).toBe(own);
    expect(fits.of('lfai-data', others)).not.toBe(own);
  });
});
