import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { Moments } from '../../src/factorize/calibration/types.js';
import { inits } from '../../src/factorize/inits/index.js';
import { bestRanks, fitTucker, tuckerModes } from '../../src/factorize/tucker.js';
import type { InitProblem } from '../../src/factorize/types.js';
import { createLinalg } from '../../src/linalg/linalg.js';
import type { Matrix } from '../../src/linalg/types.js';
import { permute } from '../../src/ops/support/permute.js';
import { randomFloats } from '../../src/rewrite/samples.js';
import type { FactorPair } from '../../src/rewrite/types.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { convertReport, expectFailure, run, temporaryFolder } from '../support/command.js';
import { buildModel } from '../support/models.js';

const seed = 20261130;
const linalg = await createLinalg({ driver: await loadDriver(), threads: 1 });
afterAll(() => linalg.close());

const random = (rows: number, cols: number, name: string): Matrix => ({
  ...{ rows, cols },
  data: randomFloats(rows * cols, seed, name),
});

const problemOf = (weight: Matrix, rank: number, moments?: Moments): InitProblem => ({
  ...{ weight, rank, rowsPerNeuron: 1, activation: { kind: 'linear' }, seed, linalg },
  data: moments === undefined ? undefined : { moments, hasBias: false },
});

/** tr((W − Ŵ) M (W − Ŵ)ᵀ) / tr(W M Wᵀ), M = I where none is given. */
async function lossOf(weight: Matrix, { left, right }: FactorPair, second?: Moments['second']): Promise<number> {
  const product = await linalg.gemm64(left, right);
  const error = { ...product, data: product.data.map((value, at) => weight.data[at]! - value) };
  const energy = async (matrix: typeof error): Promise<number> => {
    const seen = second === undefined ? matrix : await linalg.gemm64(matrix, second);
    return seen.data.reduce((sum, value, at) => sum + value * matrix.data[at]!, 0);
  };
  return (await energy(error)) / (await energy({ ...weight, data: Float64Array.from(weight.data) }));
}

/** out × in·area of the multilinear ranks (inner, rank). */
async function tuckerWeight(out: number, inputs: number, area: number, inner: number, rank: number): Promise<Matrix> {
  const core = random(rank * area, inner, 'core');
  const { data } = await linalg.gemm(core, random(inner, inputs, 'basis'));
  const right = { rows: rank, cols: inputs * area, data: permute(data, [rank, area, inputs], [0, 2, 1]) };
  return linalg.gemm(random(out, rank, 'left'), right);
}

/** E[xxᵀ] of inputs that are mixtures of others. */
async function momentsOf(cols: number): Promise<Moments> {
  const x = await linalg.gemm(random(4000, cols, 'x'), random(cols, cols, 'mix'));
  const { data } = await linalg.gemm64(x, x, { transposeA: true });
  const second = { rows: cols, cols, data: data.map((value) => value / x.rows) };
  return { count: x.rows, mean: new Float64Array(cols), second };
}

describe('Tucker-2', () => {
  it('finds the ranks of a weight that has them, and the weight', async () => {
    const weight = await tuckerWeight(12, 10, 9, 3, 5);
    const modes = await tuckerModes({ weight, linalg, signal: undefined }, 9, undefined);
    expect(await bestRanks(modes, 1, ({ inner, rank }) => inner + rank <= 8)).toMatchObject({ inner: 3, rank: 5 });
    expect(await bestRanks(modes, 4, ({ inner, rank }) => inner <= 9 && rank <= 9)).toMatchObject({
      inner: 8,
      rank: 8,
    });
    expect(await bestRanks(modes, 1, () => false)).toBeUndefined();
    const fit = await fitTucker(inits.spectral, problemOf(weight, 5), modes, 3);
    expect([fit.inner!.basis.rows, fit.inner!.core.rows, fit.left.cols]).toEqual([3, 5, 5]);
    expect(await lossOf(weight, fit)).toBeLessThan(1e-11);
  });

  it('loses less than the truncated higher-order SVD, no less than each of its unfoldings must, and is a stationary point', async () => {
    const weight = random(12, 90, 'w');
    const modes = await tuckerModes({ weight, linalg, signal: undefined }, 9, undefined);
    const [inner, rank] = [4, 6];
    const fit = await fitTucker(inits.spectral, problemOf(weight, rank), modes, inner);
    const loss = await lossOf(weight, fit);
    const tail = (values: Float64Array, from: number): number => {
      const squares = values.map((value) => value ** 2);
      return squares.slice(from).reduce((a, b) => a + b, 0) / squares.reduce((a, b) => a + b, 0);
    };
    const byInput = { rows: 10, cols: 108, data: permute(weight.data, [12, 10, 9], [1, 0, 2]) };
    const tails = [tail(await linalg.singularValues(weight), rank), tail(await linalg.singularValues(byInput), inner)];
    expect(loss).toBeGreaterThan(Math.max(...tails));
    expect(loss).toBeLessThan(tails[0]! + tails[1]!);
    // Of all pairs behind this basis, that one loses least: nothing is left that the fit of the layer behind it would take.
    const again = await fitTucker(inits.spectral, problemOf(weight, rank), modes, inner);
    expect(await lossOf(weight, again)).toBeCloseTo(loss, 12);
    const norms = [fit.inner!.basis, fit.inner!.core, fit.left].map(({ data }) => Math.hypot(...data));
    expect(Math.max(...norms) / Math.min(...norms)).toBeLessThan(3);
  });

  it('fitted to what the layer sees, it loses less there than fitted to the weight alone; at full rank nothing', async () => {
    const weight = random(12, 90, 'w');
    const moments = await momentsOf(90);
    const [inner, rank] = [4, 6];
    const plain = await tuckerModes({ weight, linalg, signal: undefined }, 9, undefined);
    const seen = await tuckerModes({ weight, linalg, signal: undefined }, 9, moments);
    const own = await fitTucker(inits.whitened, problemOf(weight, rank, moments), seen, inner);
    const other = await fitTucker(inits.spectral, problemOf(weight, rank), plain, inner);
    const [loss, without] = [await lossOf(weight, own, moments.second), await lossOf(weight, other, moments.second)];
    expect(loss).toBeLessThan(0.9 * without);
    const channel = await inits.whitened.fit(problemOf(weight, rank, moments));
    expect(loss).toBeGreaterThan(await lossOf(weight, channel, moments.second));
    const full = await fitTucker(inits.whitened, problemOf(weight, 12, moments), seen, 10);
    expect(await lossOf(weight, full, moments.second)).toBeLessThan(1e-10);
  });
});

describe('convert --scheme tucker', () => {
  const folder = temporaryFolder();
  const model = join(folder, 'model.onnx');
  const weight = (name: string, ...dims: readonly number[]) => ({
    ...{ name, dims },
    data: randomFloats(
      dims.reduce((product, dim) => product * dim, 1),
      seed,
      name,
    ),
  });
  writeFileSync(
    model,
    buildModel({
      inputs: [{ name: 'x', dims: [1, 3, 12, 12] }],
      outputs: [{ name: 'y' }],
      initializers: [
        weight('a', 16, 3, 3, 3),
        weight('b', 24, 16, 3, 3),
        weight('c', 24, 24, 1, 1),
        weight('d', 4, 24, 3, 3),
      ],
      nodes: [
        { op: 'Conv', name: 'a', inputs: ['x', 'a'], outputs: ['ya'] },
        { op: 'Conv', name: 'b', inputs: ['ya', 'b'], outputs: ['yb'] },
        { op: 'Conv', name: 'c', inputs: ['yb', 'c'], outputs: ['yc'] },
        { op: 'Conv', name: 'd', inputs: ['yc', 'd'], outputs: ['y'] },
      ],
    }),
  );
  const words = [model, '--calibrate', 'none', '-o', join(folder, 'small.onnx'), '--force'];
  const ranks = (text: string): readonly string[] => {
    writeFileSync(join(folder, 'ranks.json'), text);
    return [...words, '--ranks', join(folder, 'ranks.json')];
  };

  it('makes them of layers with a window, no larger and no slower than the pair that the rank asks for', () => {
    const pairs = convertReport(...words, '--rank-scale', '0.25', '--scheme', 'spatial').layers;
    const { layers } = convertReport(...words, '--rank-scale', '0.25', '--scheme', 'tucker');
    expect(layers.map(({ scheme }) => scheme)).toEqual([null, 'tucker', 'channel', null]);
    const [pair, own] = [pairs[1]!, layers[1]!];
    expect(own.ranks).toHaveLength(2);
    expect(own.rank).toBe(own.ranks![1]);
    expect(own.params.after).toBeLessThanOrEqual(pair.params.after);
    expect(own.macs.after).toBeLessThanOrEqual(pair.macs.after);
    const best = convertReport(...words, '--rank-scale', '0.25').layers[1]!;
    expect(best.functionError).toBeLessThanOrEqual(Math.min(own.functionError!, pair.functionError!));
  });

  it('takes ranks from a file', () => {
    const [, layer] = convertReport(...ranks('{"b": {"rank": [5, 9], "scheme": "tucker"}}')).layers;
    expect(layer).toMatchObject({ scheme: 'tucker', rank: 9, ranks: [5, 9], reason: 'rank from --ranks' });
    const [, one] = convertReport(...ranks('{"b": {"rank": 9, "scheme": "tucker"}}')).layers;
    expect(one!.ranks).toEqual([6, 9]);
    const [, pair] = convertReport(...ranks('{"b": {"rank": 9, "scheme": "channel"}}')).layers;
    expect(pair).toMatchObject({ scheme: 'channel', rank: 9 });
  });

  it.each([
    [
      '{"b": {"rank": [17, 9], "scheme": "tucker"}}',
      'USAGE',
      /rank \[17,9\] for layer 'b' is impossible; give \[in, out\], in from 1 to 16/,
    ],
    ['{"b": {"rank": [1, 10], "scheme": "tucker"}}', 'USAGE', /out from 1 to 24 and at most 9 times in/],
    [
      '{"b": {"rank": [5, 9], "scheme": "channel"}}',
      'FORMAT',
      /rank of 'b' is .*"rank": \[12, 16\], "scheme": "tucker"/,
    ],
    [
      '{"c": {"rank": [5, 9], "scheme": "tucker"}}',
      'USAGE',
      /gives layer 'c' the scheme "tucker"; it can have channel/,
    ],
  ] as const)('refuses %s', (text, code, fact) => {
    expectFailure(run('convert', ...ranks(text)), code, fact, code === 'USAGE' ? 2 : 1);
  });

  it('refuses a search whose ranks are those of pairs', () => {
    expectFailure(
      run('convert', model, '--scheme', 'tucker', '--latency-budget', '0.5'),
      'USAGE',
      /--scheme tucker cannot be searched for by latency/,
      2,
    );
  });
});
