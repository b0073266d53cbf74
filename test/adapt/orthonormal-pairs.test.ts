import { describe, expect, it } from 'vitest';
import { create } from '../../models/index.js';
import { matricesOf } from '../../src/adapt/cores.js';
import { diagonalOf } from '../../src/adapt/factors.js';
import { adaptedLayers } from '../../src/adapt/layers.js';
import { drawOrthonormalPairs, type OrthonormalOptions } from '../../src/adapt/orthonormal-pairs.js';
import { factorsOfModel } from '../../src/adapt/start.js';
import type { Model } from '../../src/graph/model.js';
import { modelBytes } from '../../src/graph/write.js';
import { createLinalg } from '../../src/linalg/linalg.js';
import type { Matrix } from '../../src/linalg/types.js';
import { inferShapes } from '../../src/ops/infer.js';
import { readPairs } from '../../src/rewrite/pairs.js';
import { loadDriver } from '../../src/runtime/driver.js';

async function drawn(options: OrthonormalOptions): Promise<Model> {
  const model = create('lenet5_caffe');
  await drawOrthonormalPairs(model, { keepFirst: false, startRank: 12, ...options });
  return model;
}

/** Of each pair, its factors as matrices. */
function factors(model: Model): { readonly left: Matrix; readonly right: Matrix }[] {
  return adaptedLayers(model, inferShapes(model)).map((layer) => {
    const [left, right] = [layer.left, layer.right].map((name) => {
      const { dims, toFloat32 } = model.graph.value(name)!.tensor!;
      return { dims, data: toFloat32.call(model.graph.value(name)!.tensor!) };
    });
    return matricesOf(layer, right!, left!);
  });
}

const row = ({ cols, data }: Matrix, at: number): Float32Array => data.subarray(at * cols, (at + 1) * cols);
const column = ({ rows, cols, data }: Matrix, at: number): Float32Array =>
  Float32Array.from({ length: rows }, (_, i) => data[i * cols + at]!);
const product = (a: Float32Array, b: Float32Array): number => a.reduce((sum, value, i) => sum + value * b[i]!, 0);

/** σ of each pair: what columns of U √S and rows of √S Vᵀ are long, squared. */
const valuesOf = (model: Model): number[][] =>
  factors(model).map(({ right }) =>
    Array.from({ length: right.rows }, (_, k) => product(row(right, k), row(right, k))),
  );

describe('layers drawn as pairs', () => {
  it('have orthonormal bases, balanced, and singular values that fall', async () => {
    const model = await drawn({ decay: 0.8 });
    expect(readPairs(model).map(({ rank, init }) => `${rank} ${init}`)).toEqual(Array(3).fill('12 orthonormal'));
    for (const { left, right } of factors(model)) {
      const values = Array.from({ length: 12 }, (_, k) => product(row(right, k), row(right, k)));
      expect(values).toEqual(values.toSorted((a, b) => b - a));
      for (let i = 0; i < 12; i++) {
        for (let j = 0; j <= i; j++) {
          // Of float32, 6e-8 a number: two roundings of each of two unit vectors, as lengths.
          const scale = Math.sqrt(values[i]! * values[j]!);
          const expected = i === j ? 1 : 0;
          expect(Math.abs(product(row(right, i), row(right, j)) / scale - expected)).toBeLessThan(1e-6);
          expect(Math.abs(product(column(left, i), column(left, j)) / scale - expected)).toBeLessThan(1e-6);
        }
      }
    }
  });

  it('decay by a power of their place, are drawn from the seed, and differ from layer to layer', async () => {
    const [whole, half] = [valuesOf(await drawn({})), valuesOf(await drawn({ decay: 0.5 }))];
    whole.forEach((values, at) =>
      values.forEach((value, k) => expect(half[at]![k]! / (value * 0.5 ** k)).toBeCloseTo(1, 5)),
    );
    expect(whole[0]).not.toEqual(whole[1]);
    // |N(0, 1)|: the mean square of 36 numbers is 1 ± √(2 / 36).
    const squares = whole.flat().map((value) => value ** 2);
    expect(Math.abs(squares.reduce((sum, value) => sum + value) / squares.length - 1)).toBeLessThan(
      4 * Math.sqrt(2 / 36),
    );
    const bytes = async (seed: number): Promise<Buffer> => Buffer.from(modelBytes(await drawn({ seed })));
    expect((await bytes(3)).equals(await bytes(3))).toBe(true);
    expect((await bytes(3)).equals(await bytes(4))).toBe(false);
  });

  it('are what a training of ranks begins with', async () => {
    const linalg = await createLinalg({ driver: await loadDriver(), threads: 1 });
    try {
      const model = await drawn({ decay: 0.5 });
      const layers = adaptedLayers(model, inferShapes(model));
      const start = await factorsOfModel(model, layers, () => 12, linalg);
      start.forEach(({ core }, at) => {
        const expected = valuesOf(model)[at]!;
        // Relative to the largest: what the eigenvectors of SᵀS can tell.
        diagonalOf(core).forEach((value, k) =>
          expect(value / expected[0]!).toBeCloseTo(expected[k]! / expected[0]!, 5),
        );
      });
    } finally {
      await linalg.close();
    }
  });

  it('take the layers, the rank and the matrix that are asked for', async () => {
    const records = async (options: OrthonormalOptions): Promise<readonly unknown[][]> =>
      readPairs(await drawn(options)).map(({ name, scheme, rank }) => [name, scheme, rank]);
    expect(await records({ startRank: null, keepFirst: true })).toEqual([
      ['/conv2/Conv', 'channel', 25],
      ['/fc1/Gemm', 'dense', 250],
    ]);
    expect(await records({ scheme: 'spatial', exclude: ['/fc*'], startRank: 40 })).toEqual([
      ['/conv1/Conv', 'spatial', 5],
      ['/conv2/Conv', 'spatial', 40],
    ]);
    expect(await records({ include: ['/fc2*'], keepLast: false, startRank: 10 })).toEqual([['/fc2/Gemm', 'dense', 10]]);
  });

  it.each([
    [{ startRank: 501 }, /a rank of 501 is more than any layer can have/],
    [{ startRank: 0 }, /startRank is 0, which is out of range/],
    [{ decay: 0 }, /decay is 0, which is out of range/],
    [{ decay: 1.5 }, /decay is 1.5, which is out of range/],
    [{ decay: 0.1, startRank: 100 }, /singular value 6\d of '\/fc1\/Gemm' is too small for float32/],
    [{ exclude: ['*'] }, /no layer is left whose rank could be found/],
    [{ include: ['nothing'] }, /'nothing' matches no layer/],
  ] as const)('refuse %o in one line', async (options, fact) => {
    await expect(drawn(options as OrthonormalOptions)).rejects.toThrow(fact);
    await expect(drawn(options as OrthonormalOptions)).rejects.toThrow(/^[^\n]*$/);
  });
});
