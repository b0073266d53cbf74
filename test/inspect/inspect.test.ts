import { closeSync, ftruncateSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { convert } from '../../src/convert/convert.js';
import { findLayers } from '../../src/rewrite/layers.js';
import { isOutputMajor, toMatrix } from '../../src/rewrite/layout.js';
import { schemesOf } from '../../src/rewrite/geometry.js';
import { readModel } from '../../src/graph/read.js';
import { inspect } from '../../src/inspect/inspect.js';
import { productSingularValues } from '../../src/inspect/spectrum.js';
import { createLinalg } from '../../src/linalg/linalg.js';
import type { Matrix } from '../../src/linalg/types.js';
import { randomFloats } from '../../src/rewrite/samples.js';
import { inferShapes } from '../../src/ops/infer.js';
import { loadDriver } from '../../src/runtime/driver.js';
import type { InspectLayer } from '../../src/contracts/inspect.js';
import { buildModel, type TestInitializer, type TestModel, type TestNode } from '../support/models.js';
import { failureOf } from '../support/errors.js';
import { hasShared, modelPath, sharedModels } from '../support/shared.js';
import { modelWriter, temporaryFolder } from './support/files.js';
import { chain, conv, gemm, matmul, plain, seed } from './support/layers.js';

const folder = temporaryFolder();
const write = modelWriter(folder);

const image = [1, 8, 12, 12];

describe('layers', () => {
  const model = chain(image, [
    conv('a', [8, 16], [3, 3], {}, true),
    plain('Relu'),
    conv('depthwise', [16, 16], [3, 3], { group: 16 }),
    plain('Relu'),
    conv('b', [16, 4], [1, 3]),
    conv('c', [4, 24], [3, 1], {}, true),
    plain('Sigmoid'),
    conv('tucker1', [24, 3], [1, 1]),
    conv('tucker2', [3, 4], [3, 3]),
    conv('tucker3', [4, 16], [1, 1], {}, true),
  ]);

  it('in graph order, a pair as one, each with a reason', async () => {
    const report = await inspect(write(model), { spectrum: false });
    expect(report.schema).toBe('lowrank.inspect/1');
    expect(report.layers.map(({ name, action, reason, rank }) => [name, action, reason, rank])).toEqual([
      ['a', 'kept', 'full rank', null],
      ['depthwise', 'kept', 'depthwise convolution', null],
      ['b + c', 'factorized', 'recognized by its structure: 1×3 then 3×1', 4],
      ...['tucker1', 'tucker2', 'tucker3'].map((name) => [
        name,
        'kept',
        'one of 3 linear layers in a row (tucker1 to tucker3), which are no pair',
        null,
      ]),
    ]);
    expect(report.layers[2]).toEqual({
      name: 'b + c',
      label: 'b + c',
      op: 'Conv',
      kernel: [3, 3],
      group: 1,
      in: 16,
      out: 24,
      action: 'factorized',
      reason: 'recognized by its structure: 1×3 then 3×1',
      scheme: 'spatial',
      rank: 4,
      maxRank: 48,
      breakEvenRank: 28,
      init: null,
      activation: 'Sigmoid',
      weightError: null,
      functionError: null,
      params: { before: 24 * 16 * 9 + 24, after: 4 * 16 * 3 + 24 * 4 * 3 + 24 },
      macs: { before: 24 * 16 * 9 * 144, after: (4 * 16 * 3 + 24 * 4 * 3) * 144 },
      seconds: 0,
      spectrum: null,
      pair: { recognizedBy: 'structure', nodes: ['b', 'c'] },
    });
    expect(report.layers[0]).toMatchObject({ activation: 'Relu', pair: null, spectrum: null, maxRank: 24 });
    expect(report.totals.pairs).toBe(1);
    expect(report.totals.macs).toBe(sum(report.layers, ({ macs }) => macs.after));
    expect(report.totals.params).toBe(sum(report.layers, ({ params }) => params.after));
  });

  it('weights that pairs share are counted once', async () => {
    const twice = chain(image, [
      conv('a', [8, 3], [3, 3]),
      conv('b', [3, 8], [1, 1]),
      plain('Relu'),
      conv('c', [8, 3], [3, 3]),
      conv('d', [3, 8], [1, 1]),
    ]);
    const sharing = (node: TestNode): TestNode => ({
      ...node,
      inputs: node.inputs.map((name) => name.replace('c.weight', 'a.weight').replace('d.weight', 'b.weight')),
    });
    const path = write({
      ...twice,
      initializers: twice.initializers!.slice(0, 2),
      nodes: twice.nodes.map(sharing),
    });
    const report = await inspect(path, { spectrum: false });
    expect(report.layers.map(({ params }) => params.after)).toEqual([3 * 8 * 9 + 24, 0]);
    expect(report.layers[1]!.reason).toMatch(/shares its weights with an earlier pair/);
    expect(report.totals.params).toBe(sum(report.layers, ({ params }) => params.after));
  });

  it('without spectra no weight is read: 8 GiB of external data cost neither time nor memory', async () => {
    const location = 'huge.data';
    const side = 46341;
    const length = 4 * side * side;
    const huge: TestModel = {
      inputs: [{ name: 'x', dims: ['batch', side] }],
      outputs: [{ name: 'y' }],
      initializers: [{ name: 'w', dims: [side, side], data: { location, length } }],
      nodes: [{ op: 'MatMul', name: 'fc', inputs: ['x', 'w'], outputs: ['y'] }],
    };
    const path = join(folder, 'huge.onnx');
    writeFileSync(path, buildModel(huge));
    // A file with a hole: it takes no room on the disk.
    const file = openSync(join(folder, location), 'w');
    ftruncateSync(file, length);
    closeSync(file);
    const before = process.memoryUsage().rss;
    const started = performance.now();
    const report = await inspect(path, { spectrum: false });
    expect(performance.now() - started).toBeLessThan(2000);
    expect(process.memoryUsage().rss - before).toBeLessThan(200e6);
    expect(report.layers).toMatchObject([{ name: 'fc', params: { after: side * side }, maxRank: side }]);
  });
});

describe('spectra', () => {
  /** An orthogonal n×n matrix: a product of n Householder reflections. */
  function orthogonal(n: number, offset: number): number[][] {
    let q = Array.from({ length: n }, (_, i) => Array.from({ length: n }, (_, j) => Number(i === j)));
    for (let k = 0; k < n; k++) {
      const v = Array.from({ length: n }, (_, i) => Math.sin(1 + offset + 7 * k + 3 * i));
      const norm = v.reduce((total, value) => total + value * value, 0);
      q = q.map((row) => {
        const along = row.reduce((total, value, i) => total + value * v[i]!, 0) / norm;
        return row.map((value, i) => value - 2 * along * v[i]!);
      });
    }
    return q;
  }

  /** rows × cols with these singular values. */
  function withSingularValues(rows: number, cols: number, values: readonly number[]): Float32Array {
    const [p, q] = [orthogonal(rows, 0), orthogonal(cols, 5)];
    const data = new Float32Array(rows * cols);
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < cols; j++) {
        data[i * cols + j] = values.reduce((total, value, k) => total + p[i]![k]! * value * q[j]![k]!, 0);
      }
    }
    return data;
  }

  const values = [8, 4, 2, 1, 0.5, 0.25];
  // Squares: 64, 16, 4, 1, 1/4, 1/16: together 85.3125; 90 % are 76.8, 99 % are 84.5.
  const expected = { stableRank: 85.3125 / 64, energy90Rank: 2, energy99Rank: 4 };

  /** float32 rounds W by 2^-24 of its norm, so singular values by about 1e-6 of the largest one. */
  function expectSpectrum(layer: InspectLayer): void {
    const { spectrum } = layer;
    expect(spectrum!.singularValues).toHaveLength(values.length);
    spectrum!.singularValues.forEach((value, i) => expect(Math.abs(value - values[i]!)).toBeLessThan(1e-5));
    expect(spectrum!.stableRank).toBeCloseTo(expected.stableRank, 5);
    expect(spectrum).toMatchObject({ energy90Rank: expected.energy90Rank, energy99Rank: expected.energy99Rank });
  }

  function replaced(model: TestModel, data: Readonly<Record<string, Float32Array>>): TestModel {
    const other = (tensor: TestInitializer): TestInitializer => ({ ...tensor, data: data[tensor.name] ?? tensor.data });
    return { ...model, initializers: model.initializers!.map(other) };
  }

  it('of a full-rank layer: the matrix of its first scheme', async () => {
    // [out, in, kh, kw] = [3, 2, 2, 5] as the matrix (out, kh) × (in, kw) = 6 × 10.
    const matrix = withSingularValues(6, 10, values);
    const weight = new Float32Array(60);
    for (let o = 0; o < 3; o++)
      for (let i = 0; i < 2; i++)
        for (let y = 0; y < 2; y++)
          for (let x = 0; x < 5; x++) weight[((o * 2 + i) * 2 + y) * 5 + x] = matrix[(o * 2 + y) * 10 + i * 5 + x]!;
    const model = replaced(chain([1, 2, 9, 9], [conv('a', [2, 3], [2, 5])]), { 'a.weight': weight });
    const report = await inspect(write(model));
    expectSpectrum(report.layers[0]!);
  });

  it('of a dense layer, in either layout', async () => {
    const weight = withSingularValues(6, 10, values);
    for (const step of [gemm('a', [10, 6], { transB: 1 }), gemm('a', [6, 10])]) {
      const inputs = step.node.attributes!['transB'] === 1 ? 10 : 6;
      const report = await inspect(write(replaced(chain([2, inputs], [step]), { 'a.weight': weight })));
      expectSpectrum(report.layers[0]!);
    }
  });

  it('of a pair: the product of its factors', async () => {
    // W = P·diag(values)·Qᵀ, split unevenly, and mixed by an upper triangular matrix T: left = P·S·T, right = T⁻¹·S⁻¹·W.
    const rank = values.length;
    const [p, q] = [orthogonal(9, 0), orthogonal(12, 5)];
    const left = new Float32Array(9 * rank);
    const right = new Float32Array(rank * 12);
    for (let k = 0; k < rank; k++) {
      // T = I + superdiagonal: column k of P·T is p_k + p_{k-1}; T⁻¹ has ±1 above its diagonal.
      for (let i = 0; i < 9; i++) left[i * rank + k] = p[i]![k]! + (k > 0 ? p[i]![k - 1]! : 0);
      for (let j = 0; j < 12; j++) {
        let value = 0;
        for (let l = k; l < rank; l++) value += (-1) ** (l - k) * values[l]! * q[j]![l]!;
        right[k * 12 + j] = value;
      }
    }
    const model = replaced(chain([1, 12, 5, 5], [conv('a', [12, rank], [1, 1]), conv('b', [rank, 9], [1, 1])]), {
      'a.weight': right,
      'b.weight': left,
    });
    const report = await inspect(write(model));
    expect(report.layers).toHaveLength(1);
    expectSpectrum(report.layers[0]!);
  });

  it('of a product, whichever side is the smallest', async () => {
    const linalg = await createLinalg({ driver: await loadDriver() });
    const matrix = (height: number, width: number): Matrix => ({
      rows: height,
      cols: width,
      data: randomFloats(height * width, seed, `${height}x${width}`),
    });
    try {
      for (const [height, rank, width] of [
        [30, 5, 20],
        [30, 20, 20],
        [4, 6, 20],
        [30, 6, 4],
        [6, 9, 7],
        [1, 1, 1],
      ] as const) {
        const pair = { left: matrix(height, rank), right: matrix(rank, width) };
        const found = await productSingularValues(pair, linalg, undefined);
        const product = await linalg.singularValues(await linalg.gemm(pair.left, pair.right));
        expect(found).toHaveLength(Math.min(height, rank, width));
        // Factors of norm about √(sides): rounding of float32, relative to the largest.
        found.forEach((value, i) => expect(Math.abs(value - product[i]!)).toBeLessThan(1e-5 * product[0]!));
      }
    } finally {
      await linalg.close();
    }
  });

  it('a pair has no more singular values than its rank, and all of the energy of its product', async () => {
    const model = chain([1, 12, 9, 9], [conv('a', [12, 5], [1, 3]), conv('b', [5, 9], [3, 1])]);
    const report = await inspect(write(model));
    const { spectrum } = report.layers[0]!;
    expect(spectrum!.singularValues).toHaveLength(5);
    const [a, b] = model.initializers!.map(({ data }) => data as Float32Array);
    let energy = 0;
    for (let o = 0; o < 9; o++)
      for (let y = 0; y < 3; y++)
        for (let column = 0; column < 36; column++) {
          let w = 0;
          for (let k = 0; k < 5; k++) w += b![(o * 5 + k) * 3 + y]! * a![k * 36 + column]!;
          energy += w * w;
        }
    const held = spectrum!.singularValues.reduce((total, value) => total + value * value, 0);
    // Float32 products of norm 1: a relative rounding of about 1e-6.
    expect(Math.abs(held / energy - 1)).toBeLessThan(1e-5);
  });

  it('a weight that is not finite is a warning, and the other layers are there', async () => {
    const model = chain([2, 10], [matmul('a', [10, 6]), plain('Relu'), matmul('b', [6, 4])]);
    (model.initializers![0]!.data as Float32Array)[7] = Number.NaN;
    const report = await inspect(write(model));
    expect(report.layers.map(({ spectrum }) => spectrum !== null)).toEqual([false, true]);
    expect(report.warnings).toEqual([expect.stringMatching(/layer 'a' has no spectrum/)]);
  });

  it('a weight of zeros has rank 0', async () => {
    const zero = replaced(chain([2, 10], [matmul('a', [10, 6])]), { 'a.weight': new Float32Array(60) });
    const report = await inspect(write(zero));
    expect(report.layers[0]!.spectrum).toEqual({
      singularValues: [0, 0, 0, 0, 0, 0],
      stableRank: 0,
      energy90Rank: 0,
      energy99Rank: 0,
    });
  });
});

describe.skipIf(!hasShared)('real models', () => {
  it.each(sharedModels())('%s without spectra', async (name) => {
    const report = await inspect(modelPath(name), { spectrum: false });
    expect(report.layers.length).toBeGreaterThan(3);
    expect(report.totals.pairs).toBe(0);
    expect(report.warnings).toEqual([]);
    expect(report.layers.every(({ reason }) => reason !== '')).toBe(true);
    // Products of two activations (attention) are no layers; everything else that multiplies is one.
    expect(sum(report.layers, ({ macs }) => macs.after)).toBeLessThanOrEqual(report.totals.macs);
    expect(sum(report.layers, ({ macs }) => macs.after)).toBeGreaterThan(0.9 * report.totals.macs);
  });

  it.each(['st-resnetv1-8-cifar10.onnx', 'mnist-mlp-pt2.3-op17.onnx', 'ppocr-cls-mobilenetv3-paddle-op10.onnx'])(
    '%s: spectra hold the energy of the weights',
    async (name) => {
      const report = await inspect(modelPath(name));
      const model = readModel(modelPath(name));
      const layers = findLayers(model.graph, inferShapes(model));
      report.layers.forEach((entry, index) => {
        const layer = layers[index]!;
        expect(entry.spectrum === null).toBe(layer.kind === 'fixed');
        if (entry.spectrum === null || layer.kind === 'fixed') return;
        const { singularValues, stableRank, energy90Rank, energy99Rank } = entry.spectrum;
        const scheme = schemesOf(layer.geometry, layer.form !== 'conv')[0]!;
        const outputMajor = isOutputMajor(layer.form, layer.node.int('transB', 0));
        const matrix = toMatrix(layer.weight.data(), layer.geometry, scheme, outputMajor);
        const energy = matrix.data.reduce((total, value) => total + value * value, 0);
        const held = singularValues.reduce((total, value) => total + value * value, 0);
        expect(singularValues).toHaveLength(entry.maxRank);
        expect(Math.abs(held / energy - 1)).toBeLessThan(1e-6);
        expect(Math.abs(stableRank / (energy / singularValues[0]! ** 2) - 1)).toBeLessThan(1e-6);
        const upTo = (rank: number): number =>
          singularValues.slice(0, rank).reduce((total, value) => total + value * value, 0) / energy;
        expect(upTo(energy90Rank)).toBeGreaterThanOrEqual(0.9 - 1e-6);
        expect(upTo(energy90Rank - 1)).toBeLessThan(0.9 + 1e-6);
        expect(upTo(energy99Rank)).toBeGreaterThanOrEqual(0.99 - 1e-6);
        expect(upTo(energy99Rank - 1)).toBeLessThan(0.99 + 1e-6);
      });
      model.file?.close();
    },
  );

  it('a converted model: the pairs of its report', async () => {
    const output = join(folder, 'converted.onnx');
    const converted = await convert(modelPath('cifar10-resnet20-pt1.6-op9-bn.onnx'), { output, init: 'spectral' });
    const report = await inspect(output);
    const facts = (layers: readonly InspectLayer[] | typeof converted.layers): unknown[] =>
      layers
        .filter(({ action }) => action === 'factorized')
        .map(({ name, op, kernel, scheme, rank, maxRank, breakEvenRank, init, activation, params, macs }) => ({
          name,
          op,
          kernel,
          scheme,
          rank,
          maxRank,
          breakEvenRank,
          init,
          activation,
          params,
          macs,
        }));
    expect(facts(report.layers)).toEqual(facts(converted.layers));
    expect(report.layers.map(({ name }) => name)).toEqual(converted.layers.map(({ name }) => name));
    expect(report.totals).toMatchObject({
      params: converted.totals.params.after,
      macs: converted.totals.macs.after,
      pairs: facts(converted.layers).length,
    });
    for (const { pair, spectrum, rank } of report.layers) {
      if (pair === null) continue;
      expect(pair.recognizedBy).toBe('metadata');
      expect(spectrum!.singularValues).toHaveLength(rank!);
    }
  });

  it.each([
    ['refuse/cifar10-resnet8-qdq-op13.onnx', /^quantized/],
    ['refuse/cifar10-tinycnn-qlinear-op18.onnx', /^quantized/],
    ['refuse/imagenet-mobilenetv2-qlinear-op12.onnx', /^quantized/],
  ])('%s: every layer is listed with a reason', async (name, reason) => {
    const report = await inspect(modelPath(name));
    expect(report.layers.length).toBeGreaterThan(5);
    for (const layer of report.layers) {
      expect(layer).toMatchObject({ action: 'kept', spectrum: null, reason: expect.stringMatching(reason) as string });
    }
  });

  it('a web page and a model without its data are one clear error', async () => {
    const page = await failureOf('FORMAT', () => inspect(modelPath('refuse/html-page-saved-as-mobilenet_v2.onnx')));
    expect(page.message).toMatch(/web page/);
    const torn = await failureOf('EXTERNAL_DATA', () =>
      inspect(modelPath('refuse/resnet50-external-data-missing.onnx')),
    );
    expect(torn.message).toMatch(/\.data/);
  });
});

it('no such file', async () => {
  await failureOf('INPUT', () => inspect(join(folder, 'missing.onnx')));
  const path = write(chain(image, [conv('a', [8, 16], [3, 3])]));
  expect((await inspect(path, { spectrum: false })).model.sha256).toMatch(/^[0-9a-f]{64}$/);
  expect(readFileSync(path).length).toBeGreaterThan(0);
});

function sum(layers: readonly InspectLayer[], of: (layer: InspectLayer) => number): number {
  return layers.reduce((total, layer) => total + of(layer), 0);
}
