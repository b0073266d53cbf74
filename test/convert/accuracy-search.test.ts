import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type AccuracyFinding, type Picks, searchAccuracy } from '../../src/convert/accuracy-search.js';

const seed = 5;

/** Layers with ranks 1 … n (cost rank, error falling) after the layer as it is, and how much each error really counts. */
const layers = fc.array(
  fc.record({
    full: fc.integer({ min: 4, max: 20 }),
    decay: fc.double({ min: 0.3, max: 0.95, noNaN: true }),
    price: fc.double({ min: 0.001, max: 1, noNaN: true }),
  }),
  { minLength: 1, maxLength: 6 },
);

const noise = (error: number): number => error / (1 - error);

interface Model {
  readonly choices: { readonly cost: number; readonly error: number }[][];
  costOf(picks: Picks): number;
  dropOf(picks: Picks): number;
}

function modelOf(described: readonly { full: number; decay: number; price: number }[]): Model {
  const choices = described.map(({ full, decay }) => [
    { cost: full, error: 0 },
    ...Array.from({ length: full - 1 }, (_, rank) => ({ cost: rank + 1, error: decay ** (rank + 1) })),
  ]);
  return {
    choices,
    costOf: (picks) => picks.reduce((sum, pick, index) => sum + choices[index]![pick]!.cost, 0),
    dropOf: (picks) =>
      picks.reduce((sum, pick, index) => sum + described[index]!.price * noise(choices[index]![pick]!.error), 0),
  };
}

describe(`search for the cheapest picks within a drop (seed ${seed})`, () => {
  const settings = fc.record({ described: layers, largestDrop: fc.double({ min: 0, max: 1, noNaN: true }) });

  it('gives the cheapest of what it measured, asks no picks twice, and asks no more often than it may', async () => {
    await fc.assert(
      fc.asyncProperty(settings, fc.integer({ min: 1, max: 12 }), async ({ described, largestDrop }, evaluations) => {
        const model = modelOf(described);
        const asked: Picks[] = [];
        const { best } = await searchAccuracy({
          layers: model.choices,
          fixedCost: 3,
          largestDrop,
          evaluations,
          groups: 3,
          measure: (picks, purpose) => {
            if (purpose === 'search') asked.push(picks);
            const drop = model.dropOf(picks);
            return Promise.resolve({ drop, lossIncrease: drop });
          },
        });
        const within = asked.filter((picks) => model.dropOf(picks) <= largestDrop);
        expect(asked.length).toBeLessThanOrEqual(evaluations + 1);
        expect(new Set(asked.map((picks) => picks.join())).size).toBe(asked.length);
        expect(best === undefined).toBe(within.length === 0);
        if (best === undefined) return;
        expect(within).toContain(best);
        expect(model.costOf(best)).toBe(Math.min(...within.map((picks) => model.costOf(picks))));
      }),
      { seed, numRuns: 300 },
    );
  });

  it('learns which layers are sensitive: with each layer a group, the errors are priced exactly', async () => {
    await fc.assert(
      fc.asyncProperty(layers, async (described) => {
        const model = modelOf(described);
        const { sensitivities } = await searchAccuracy({
          layers: model.choices,
          fixedCost: 0,
          largestDrop: 0.1,
          evaluations: 3,
          groups: described.length,
          measure: (picks) => Promise.resolve({ drop: model.dropOf(picks), lossIncrease: model.dropOf(picks) }),
        });
        const mean = described.reduce((sum, { price }) => sum + price, 0) / described.length;
        for (const { layers: group, weight } of sensitivities) {
          // At least a tenth of the mean; else the price itself, but for rounding.
          expect(weight).toBeCloseTo(Math.max(described[group[0]!]!.price, 0.1 * mean), 9);
        }
      }),
      { seed, numRuns: 100 },
    );
  });

  it('takes the cheapest of all where anything goes, in two evaluations', async () => {
    const model = modelOf([
      { full: 9, decay: 0.5, price: 1 },
      { full: 30, decay: 0.8, price: 0.1 },
    ]);
    let asked = 0;
    const { best } = await searchAccuracy({
      layers: model.choices,
      fixedCost: 0,
      largestDrop: 100,
      evaluations: 10,
      groups: 2,
      measure: (picks, purpose) => {
        if (purpose === 'search') asked++;
        return Promise.resolve({ drop: model.dropOf(picks), lossIncrease: 0 });
      },
    });
    expect(model.costOf(best!)).toBe(2);
    expect(asked).toBe(2);
  });

  it('measures nothing where no layer can be converted', async () => {
    const nothing = await searchAccuracy({
      layers: [[{ cost: 1, error: 0 }]],
      fixedCost: 0,
      largestDrop: 1,
      evaluations: 5,
      groups: 2,
      measure: () => Promise.reject(new Error('asked')),
    });
    expect(nothing).toEqual({ best: undefined, sensitivities: [], isInterrupted: false });
  });

  it('ends at an interruption with the best so far, and passes it on where there is none', async () => {
    const choices = [modelOf([{ full: 20, decay: 0.5, price: 0.1 }]).choices[0]!];
    const interrupted = new Error('interrupted');
    const after = (most: number): Promise<AccuracyFinding> => {
      const asked: Picks[] = [];
      return searchAccuracy({
        layers: choices,
        arePriced: true,
        fixedCost: 0,
        largestDrop: 0.01,
        evaluations: 8,
        groups: 1,
        measure: (picks) => {
          if (asked.push(picks) > most) return Promise.reject(interrupted);
          return Promise.resolve({ drop: picks[0]! < 5 ? 1 : 0, lossIncrease: 0 });
        },
        isInterruption: (error) => error === interrupted,
      });
    };
    await expect(after(0)).rejects.toBe(interrupted);
    expect(await after(2)).toMatchObject({ best: [10], isInterrupted: true });
  });
});
