import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { augment, turnBases } from '../../src/adapt/augment.js';
import { diagonal, type LayerFactors } from '../../src/adapt/factors.js';
import { chooseRanks, type RankRule, sizeOf } from '../../src/adapt/ranks.js';
import type { AdaptedLayer } from '../../src/adapt/layers.js';
import { newDirections, orthonormalRows } from '../../src/adapt/orthonormal.js';
import { rankWithin, spectrumOf, tailsOf } from '../../src/adapt/spectrum.js';
import { rotated, truncate } from '../../src/adapt/truncate.js';
import { createLinalg } from '../../src/linalg/linalg.js';
import { transposed } from '../../src/linalg/transpose.js';
import type { Linalg, Matrix } from '../../src/linalg/types.js';
import { fillTruncatedNormal, randomStream } from '../../src/random.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { productOf } from './support.js';

let linalg: Linalg;
beforeAll(async () => {
  linalg = await createLinalg({ driver: await loadDriver(), threads: 1 });
});
afterAll(() => linalg.close());

function random(seed: number, name: string, rows: number, cols: number): Matrix {
  const data = new Float32Array(rows * cols);
  fillTruncatedNormal(randomStream(seed, name), data, 0, 1);
  return { rows, cols, data };
}

const narrow = ({ rows, cols, data }: { rows: number; cols: number; data: ArrayLike<number> }): Matrix => ({
  ...{ rows, cols },
  data: Float32Array.from(data),
});

/** A layer of random bases, singular values that fall, and buffers. */
async function layer(seed: number, rows: number, cols: number, rank: number): Promise<LayerFactors> {
  const values = Array.from({ length: rank }, (_, i) => 0.7 ** i);
  return {
    left: transposed(await orthonormalRows(linalg, random(seed, 'u', rank, rows))),
    right: narrow(await orthonormalRows(linalg, random(seed, 'v', rank, cols))),
    core: diagonal(values),
    buffers: [
      random(seed, 'm', rank, rank),
      narrow({ ...random(seed, 's', rank, rank), data: random(seed, 's', rank, rank).data.map((x) => x * x) }),
    ],
    average: random(seed, 'a', rank, rank),
  };
}

function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i]! - b[i]!) ** 2;
  return Math.sqrt(sum);
}

/** ‖QQᵀ − I‖, entry by entry. */
async function departure(rows: Matrix): Promise<number> {
  const { data } = await linalg.gemm64(rows, rows, { transposeB: true });
  return Math.max(
    0,
    ...data.map((value, at) => Math.abs(value - (Math.floor(at / rows.rows) === at % rows.rows ? 1 : 0))),
  );
}

const sizes = fc.record({
  seed: fc.integer({ min: 0, max: 1e6 }),
  rows: fc.integer({ min: 3, max: 24 }),
  cols: fc.integer({ min: 3, max: 24 }),
  share: fc.double({ min: 0.1, max: 1, noNaN: true }),
  cut: fc.double({ min: 0.1, max: 1, noNaN: true }),
});
const kinds = ['first', 'second'] as const;
const runs = { numRuns: 25 };

describe('bases and coefficients', () => {
  it('keep W bit for bit where bases are widened, stay orthonormal, and take the gradients in', () =>
    fc.assert(
      fc.asyncProperty(sizes, async ({ seed, rows, cols, share }) => {
        const rank = Math.max(1, Math.floor(share * Math.min(rows, cols)));
        const own = await layer(seed, rows, cols, rank);
        const gradients = { left: random(seed, 'gu', rows, rank), right: random(seed, 'gv', rank, cols) };
        const wide = await augment(linalg, own, gradients);
        expect(productOf(wide)).toEqual(productOf(own));
        expect(wide.core.rows).toBe(Math.min(2 * rank, rows));
        expect(wide.core.cols).toBe(Math.min(2 * rank, cols));
        expect(await departure(transposed(wide.left))).toBeLessThan(1e-6);
        expect(await departure(wide.right)).toBeLessThan(1e-6);
        // ∂U lies in the span of Û.
        const inside = await linalg.gemm64(
          wide.left,
          await linalg.gemm64(wide.left, gradients.left, { transposeA: true }),
        );
        expect(distance(inside.data, gradients.left.data)).toBeLessThan(1e-4 * Math.hypot(...gradients.left.data));
      }),
      runs,
    ));

  it('lose the tail of the singular values in a cut, and no more', () =>
    fc.assert(
      fc.asyncProperty(sizes, async ({ seed, rows, cols, share, cut }) => {
        const rank = Math.max(1, Math.floor(share * Math.min(rows, cols)));
        const diagonalOne = await layer(seed, rows, cols, rank);
        const core = narrow({
          ...diagonalOne.core,
          data: diagonalOne.core.data.map((x, i) => x + 0.05 * Math.sin(i * 7 + seed)),
        });
        const own = { ...diagonalOne, core };
        const spectrum = await spectrumOf(linalg, core, 'a layer');
        const left = Math.max(1, Math.floor(cut * rank));
        const next = await truncate(linalg, own, spectrum, left, kinds);
        const tail = Math.sqrt(tailsOf(spectrum.squares)[left]!);
        expect(Math.abs(distance(productOf(next), productOf(own)) - tail)).toBeLessThan(1e-5);
        expect(await departure(transposed(next.left))).toBeLessThan(1e-6);
        expect(await departure(next.right)).toBeLessThan(1e-6);
        // Momentum and averages are seen from the new bases: U′ m′ V′ᵀ = P_U′ (U m Vᵀ) P_V′.
        for (const pick of [(f: LayerFactors) => f.buffers[0]!, (f: LayerFactors) => f.average!]) {
          const before = { rows, cols, data: Float32Array.from(productOf({ ...own, core: pick(own) })) };
          const seen = await linalg.gemm64(await linalg.gemm64(next.left, before, { transposeA: true }), next.right, {
            transposeB: true,
          });
          expect(distance(seen.data, pick(next).data)).toBeLessThan(1e-4);
        }
        for (const square of next.buffers[1]!.data) expect(square).toBeGreaterThanOrEqual(0);
      }),
      runs,
    ));

  it('turn without a step where the rate is 0', () =>
    fc.assert(
      fc.asyncProperty(sizes, async ({ seed, rows, cols, share }) => {
        const rank = Math.max(1, Math.floor(share * Math.min(rows, cols)));
        const own = await layer(seed, rows, cols, rank);
        const gradients = { left: random(seed, 'gu', rows, rank), right: random(seed, 'gv', rank, cols) };
        const turned = await turnBases(linalg, own, gradients, 0, (buffer, at, m, n) =>
          rotated(linalg, buffer, kinds[at]!, m, n),
        );
        expect(distance(productOf(turned), productOf(own))).toBeLessThan(1e-5);
      }),
      runs,
    ));

  it('find no new direction where there is none, and refuse what is not finite', async () => {
    const basis = narrow(await orthonormalRows(linalg, random(1, 'basis', 4, 4)));
    expect((await newDirections(linalg, basis, random(2, 'any', 3, 4))).rows).toBe(0);
    const some = narrow(await orthonormalRows(linalg, random(3, 'some', 2, 6)));
    const twice = { rows: 3, cols: 6, data: Float32Array.from([...some.data, ...some.data.subarray(0, 6)]) };
    expect((await newDirections(linalg, some, twice)).rows).toBe(0);
    expect((await newDirections(linalg, some, { rows: 1, cols: 6, data: new Float32Array(6) })).rows).toBe(0);
    const broken = { rows: 1, cols: 6, data: new Float32Array(6).fill(NaN) };
    await expect(newDirections(linalg, some, broken)).rejects.toThrow('a gradient or a basis is not finite');
    await expect(spectrumOf(linalg, broken, "layer 'a'")).rejects.toThrow(
      /the coefficients of a layer are not finite; layer 'a'/,
    );
  });

  it('are cut to no rank of zeros, and bear a core of zeros', async () => {
    const own = await layer(5, 6, 5, 3);
    const dead = { ...own, core: diagonal([0, 0, 0]) };
    const next = await truncate(linalg, dead, await spectrumOf(linalg, dead.core, 'a layer'), 2, kinds);
    expect(next.core.rows).toBe(2);
    expect(await departure(transposed(next.left))).toBeLessThan(1e-6);
    expect(Math.max(...next.core.data.map(Math.abs))).toBeLessThan(1e-6);
  });
});

describe('ranks', () => {
  const layerOf = (side: number): AdaptedLayer =>
    ({
      ...{ label: String(side), rows: side, cols: side, perRank: { params: 2 * side, macs: 2 * side } },
      ...{ whole: { params: side * side, macs: side * side }, wholeFrom: Math.ceil(side / 2) },
    }) as AdaptedLayer;
  const layers = [20, 40].map(layerOf);
  const spectra = layers.map(({ rows }) => ({
    squares: Float64Array.from({ length: rows / 2 }, (_, i) => 0.5 ** i),
    vectors: { rows: 0, cols: 0, data: new Float64Array(0) },
  }));
  const rule = (more: Partial<RankRule>): RankRule => ({
    ...{ tolerance: 0.1, minRank: 2, mostOf: ({ rows }) => rows / 2, target: undefined },
    ...more,
  });

  it('are the smallest whose tail is within the tolerance', () =>
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 9, noNaN: true }), { minLength: 1 }),
        fc.double({ min: 0.01, max: 0.99, noNaN: true }),
        (values, tolerance) => {
          const tails = tailsOf(Float64Array.from(values.toSorted((a, b) => b - a)));
          const rank = rankWithin(tails, tolerance);
          const most = tolerance ** 2 * tails[0]!;
          expect(tails[rank]!).toBeLessThanOrEqual(most);
          if (rank > 0) expect(tails[rank - 1]!).toBeGreaterThan(most);
        },
      ),
    ));

  it('keep to the least and the most', () => {
    expect(chooseRanks(layers, spectra, rule({ tolerance: 0.99 }), 0)).toEqual([2, 2]);
    expect(chooseRanks(layers, spectra, rule({ tolerance: 1e-9, mostOf: () => 4 }), 0)).toEqual([4, 4]);
  });

  it('reach a target by the middle of the training, from the size of the start', () => {
    const target = { of: 'params', whole: 4000, fixed: 100, start: 2100, most: 600 } as const;
    const sizes = [0, 0.25, 0.5, 1].map((share) =>
      sizeOf(layers, chooseRanks(layers, spectra, rule({ target }), share), target),
    );
    expect(sizes[1]!).toBeLessThanOrEqual(2100 * (600 / 2100) ** 0.5);
    expect(sizes[2]!).toBeLessThanOrEqual(600);
    expect(sizes[3]!).toBe(sizes[2]!);
    expect(sizes[0]!).toBeGreaterThan(sizes[1]!);
    expect(sizes[2]!).toBeGreaterThan(400);
  });
});
