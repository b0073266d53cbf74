import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { drawsOf, shuffledOrder, substituteOf } from '../../src/data/order.js';

describe('the order of an epoch', () => {
  it('is a permutation that only seed and epoch decide', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 9000 }), fc.nat(), fc.nat(1000), (length, seed, epoch) => {
        const order = shuffledOrder({ length, seed, epoch });
        expect(Buffer.from(order.toSorted().buffer)).toEqual(
          Buffer.from(Uint32Array.from({ length }, (_, i) => i).buffer),
        );
        expect(shuffledOrder({ length, seed, epoch })).toEqual(order);
      }),
      { seed: 5, numRuns: 50 },
    );
    const settings = { length: 5000, seed: 1, epoch: 1 };
    expect(shuffledOrder(settings)).not.toEqual(shuffledOrder({ ...settings, epoch: 2 }));
    expect(shuffledOrder(settings)).not.toEqual(shuffledOrder({ ...settings, seed: 2 }));
  });

  it('puts every image everywhere equally often', () => {
    const length = 8;
    const epochs = 4000;
    const counts = new Float64Array(length * length);
    for (let epoch = 0; epoch < epochs; epoch++) {
      for (const [position, image] of shuffledOrder({ length, seed: 3, epoch }).entries())
        counts[position * length + image]! += 1;
    }
    const expected = epochs / length;
    const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
    // 49 degrees of freedom: mean 49, deviation √98; five deviations above.
    expect(chiSquare).toBeLessThan(49 + 5 * Math.sqrt(98));
  });

  it('mixes blocks, and images only within a window of blocks', () => {
    const lengths = [5, 1, 7, 3, 4, 6];
    const window = 2;
    const starts = lengths.map((_, block) => lengths.slice(0, block).reduce((sum, count) => sum + count, 0));
    const blockOf = (image: number): number => starts.findLastIndex((start) => start <= image);
    const orders = [0, 1, 2, 3].map((epoch) =>
      shuffledOrder({ length: 26, seed: 9, epoch, blocks: { lengths, window } }),
    );
    for (const order of orders) {
      expect([...order].toSorted((a, b) => a - b)).toEqual(Array.from({ length: 26 }, (_, index) => index));
      // Walking the epoch, at most `window` blocks are open, and a block that was left does not come back.
      let rest = [...order].map(blockOf);
      const groups: Set<number>[] = [];
      while (rest.length > 0) {
        const group = new Set<number>();
        let size = 0;
        let target = Infinity;
        for (const block of rest) {
          if (size === target) break;
          group.add(block);
          size += 1;
          const total = [...group].reduce((sum, member) => sum + lengths[member]!, 0);
          if (group.size === window || total === rest.length) target = total;
        }
        expect(group.size).toBeLessThanOrEqual(window);
        groups.push(group);
        rest = rest.slice(size);
      }
      const blocks = groups.flatMap((group) => Array.from(group));
      expect(blocks).toHaveLength(6);
      expect(new Set(blocks)).toEqual(new Set([0, 1, 2, 3, 4, 5]));
    }
    expect(new Set(orders.map((order) => order.join())).size).toBe(4);
  });
});

describe('numbers of an image', () => {
  it('do not depend on what was drawn before', () => {
    const draws = drawsOf(11, 2);
    const take = (index: number): number[] => {
      const draw = draws(index);
      return [draw(), draw(), draw()];
    };
    const first = take(5);
    take(6);
    expect(take(5)).toEqual(first);
    expect(drawsOf(11, 2)(5)()).toBe(first[0]);
    expect(take(7)).not.toEqual(first);
    // Beyond 2³² numbers in the stream.
    expect(take(2 ** 31 + 5)).not.toEqual(first);
  });

  it('names a substitute by position and attempt alone', () => {
    const settings = { length: 1000, seed: 1, epoch: 4 };
    const chosen = Array.from({ length: 200 }, (_, position) => substituteOf(settings, position, 0));
    expect(chosen.every((index) => index >= 0 && index < 1000)).toBe(true);
    expect(new Set(chosen).size).toBeGreaterThan(150);
    expect(substituteOf(settings, 17, 0)).toBe(chosen[17]);
    expect(substituteOf(settings, 17, 1)).not.toBe(chosen[17]);
  });
});
