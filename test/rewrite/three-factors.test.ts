import { writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Scheme } from '../../src/contracts/convert.js';
import { convert } from '../../src/convert/convert.js';
import type { Model } from '../../src/graph/model.js';
import { readModel } from '../../src/graph/read.js';
import { modelBytes } from '../../src/graph/write.js';
import { inspect } from '../../src/inspect/inspect.js';
import { createLinalg } from '../../src/linalg/linalg.js';
import type { Matrix } from '../../src/linalg/types.js';
import { merge } from '../../src/merge/merge.js';
import { inferShapes } from '../../src/ops/infer.js';
import { addFactorWeights, emitFactors } from '../../src/rewrite/emit.js';
import { findPairs, pairCounts } from '../../src/rewrite/find-pairs.js';
import {
  breakEvenRank,
  factorKernelSizes,
  factorMacs,
  factorParams,
  type Geometry,
} from '../../src/rewrite/geometry.js';
import { type FactorizableLayer, findLayers } from '../../src/rewrite/layers.js';
import {
  fromKernels,
  isOutputMajor,
  joinFactors,
  type Kernel,
  splitPair,
  toKernels,
  toMatrix,
} from '../../src/rewrite/layout.js';
import { type PairRecord, pairsKey, readPairs, writePairs } from '../../src/rewrite/pairs.js';
import { randomFloats } from '../../src/rewrite/samples.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { layOut, lengthOf } from '../../src/step/flat.js';
import { findFactorPairs } from '../../src/step/pairs.js';
import { defaultGraphSettings } from '../../src/step/settings.js';
import { buildUpdateGraph } from '../../src/step/update-graph.js';
import { chain, conv, gemm, matmul } from '../inspect/support/layers.js';
import { modelWriter, relativeDifference, run, temporaryFolder } from '../inspect/support/files.js';
import { buildModel, type TestModel } from '../support/models.js';
import { addThreeFactorSchemes } from './support/three-factors.js';

const seed = 20261129;
const { core, tucker, split, products } = addThreeFactorSchemes();
const folder = temporaryFolder();
const write = modelWriter(folder);
const driver = await loadDriver();
const image = [1, 8, 11, 12];

function onlyLayer(model: Model): FactorizableLayer {
  const layer = findLayers(model.graph, inferShapes(model))[0];
  if (layer?.kind !== 'factorizable') throw new Error(`not factorizable: ${layer?.reason}`);
  return layer;
}

/** Random factors in the layout of the layer. */
function randomKernels({ geometry, form, node }: FactorizableLayer, scheme: Scheme, rank: number): readonly Kernel[] {
  const kernels = factorKernelSizes(geometry, scheme) as readonly [number, number][];
  const last = kernels.length - 1;
  const factors = kernels.map(([kh, kw], at): Matrix => {
    const [out, inputs] = [at === last ? geometry.out : rank, at === 0 ? geometry.in : rank];
    const [rows, cols] = at === last ? [out * kh * kw, inputs] : [out, inputs * kh * kw];
    const scale = 1 / Math.sqrt(inputs * kh * kw);
    return { rows, cols, data: randomFloats(rows * cols, seed, `factor ${at}`).map((value) => scale * value) };
  });
  return toKernels(factors, geometry, scheme, form, node.int('transB', 0));
}

/** The only layer of a model as factors, recorded in its metadata. */
function factorized(
  single: TestModel,
  scheme: Scheme,
  rank: number,
): { readonly model: Model; readonly geometry: Geometry } {
  const model = readModel(buildModel(single));
  const layer = onlyLayer(model);
  const weights = addFactorWeights(model, layer, scheme, randomKernels(layer, scheme, rank));
  const nodes = emitFactors(model, layer, scheme, weights);
  const { geometry } = layer;
  const record: PairRecord = {
    name: layer.name,
    op: layer.node.opType as PairRecord['op'],
    scheme,
    rank,
    kernel: geometry.kernel,
    in: geometry.in,
    out: geometry.out,
    init: 'lfai',
    activation: 'linear',
    nodes: nodes.map(({ name }) => name),
    factors: weights.map(({ name }) => name),
  };
  writePairs(model, [record]);
  return { model: readModel(modelBytes(model)), geometry };
}

const window3 = { strides: [2, 1], pads: [1, 0, 1, 2], dilations: [1, 2] } as const;
const cases = [
  ['core', chain(image, [conv('a', [8, 10], [3, 2], window3, true)]), core, image],
  ['Tucker-2', chain(image, [conv('a', [8, 10], [3, 2], window3, true)]), tucker, image],
  ['1×1, 1×kw, kh×1', chain(image, [conv('a', [8, 10], [3, 2], window3)]), split, image],
  ['Gemm', chain([6, 3], [gemm('a', [6, 7], { transA: 1, transB: 1, alpha: { float: 0.5 } }, true)]), products, [6, 3]],
  ['x · W', chain([2, 3, 6], [matmul('a', [6, 7])]), products, [2, 3, 6]],
  ['W · x', chain([2, 6, 3], [matmul('a', [6, 7], true)]), products, [2, 6, 3]],
] as const;

describe(`a scheme of three factors (seed ${seed})`, () => {
  it.each(cases)(
    '%s: emitted, recorded, found, counted, and merged into the weight of its product',
    async (_, single, scheme, dims) => {
      const rank = 4;
      const { model, geometry } = factorized(single, scheme, rank);
      expect(JSON.parse(model.metadata.get(pairsKey)!)).toMatchObject([
        { v: 'a.weight.v', u: 'a.weight.u', factors: ['a.weight.v', 'a.weight.s', 'a.weight.u'] },
      ]);
      const { pairs, chained, warnings } = findPairs(model, findLayers(model.graph, inferShapes(model)));
      expect({ warnings, chained: chained.size, count: pairs.length }).toEqual({ warnings: [], chained: 0, count: 1 });
      const pair = pairs[0]!;
      expect(pair).toMatchObject({ name: 'a', recognizedBy: 'metadata', scheme, rank, geometry });
      expect(pair.factors.map(({ name }) => name)).toEqual(readPairs(model)[0]!.nodes);
      const { params, macs, breakEvenRank: breakEven } = pairCounts(pair);
      expect(params.pair - pair.last.biasCount).toBe(factorParams(geometry, scheme, rank));
      expect(macs.pair).toBe(factorMacs(geometry, scheme, rank));
      expect(breakEven).toBe(breakEvenRank(geometry, scheme));

      const input = write(single).replace(/\.onnx$/, '.factors.onnx');
      writeFileSync(input, modelBytes(model));
      const report = await inspect(input);
      expect(report.layers).toMatchObject([{ name: 'a', scheme, rank, pair: { nodes: ['a.v', 'a.s', 'a.u'] } }]);
      expect(report.layers[0]!.spectrum!.singularValues[0]).toBeGreaterThan(0);

      const output = input.replace(/\.onnx$/, '.merged.onnx');
      const merged = await merge(input, { all: true, output });
      expect(merged).toMatchObject({ merged: [{ name: 'a', scheme, rank }], warnings: [] });
      // Both sum the same products in another order: at most terms · 2^-24, less than 1e-5 here.
      expect(relativeDifference(await run(output, dims), await run(input, dims))).toBeLessThanOrEqual(1e-5);
      const back = readModel(output);
      const weight = onlyLayer(back);
      expect(weight.weight.tensor.name).toBe('a.weight');
      expect(weight.weight.tensor.dims).toEqual(onlyLayer(readModel(buildModel(single))).weight.tensor.dims);
      back.file?.close();
    },
  );

  it('counts what each factor costs: Tucker-2 has rank² numbers in its core', () => {
    const g = { out: 128, in: 64, kernel: [3, 3], inputSize: [56, 56], outputSize: [28, 28], batch: 1 } as const;
    expect(factorParams(g, tucker, 16)).toBe(64 * 16 + 16 * 16 * 9 + 16 * 128);
    expect(factorMacs(g, tucker, 16)).toBe(64 * 16 * 56 * 56 + (16 * 16 * 9 + 16 * 128) * 28 * 28);
  });

  it('is fitted by an initialization: a conversion at full rank, merged, is the original', async () => {
    const input = write(chain(image, [conv('a', [8, 10], [3, 2], window3, true)]));
    const converted = input.replace(/\.onnx$/, '.converted.onnx');
    const shared = { keepFirst: false, keepLast: false, init: 'spectral' } as const;
    const report = await convert(input, {
      ...shared,
      ranks: { a: { rank: 10, scheme: core } },
      allowBigger: true,
      output: converted,
    });
    const biases = 10;
    expect(report.layers).toMatchObject([
      { scheme: 'core', rank: 10, params: { after: 8 * 6 * 10 + 100 + 100 + biases } },
    ]);
    expect(relativeDifference(await run(converted, image), await run(input, image))).toBeLessThanOrEqual(1e-5);
    const merged = input.replace(/\.onnx$/, '.merged.onnx');
    await merge(converted, { all: true, output: merged });
    expect(relativeDifference(await run(merged, image), await run(input, image))).toBeLessThanOrEqual(1e-5);
  });

  it('has its matrices back from its kernels', async () => {
    const layer = onlyLayer(readModel(buildModel(cases[0][1])));
    const matrix = toMatrix(layer.weight.data(), layer.geometry, core, isOutputMajor(layer.form, 0));
    const identity: Matrix = { rows: matrix.rows, cols: matrix.rows, data: new Float32Array(matrix.rows ** 2) };
    for (let i = 0; i < matrix.rows; i++) identity.data[i * matrix.rows + i] = 1;
    const factors = splitPair({ left: identity, right: matrix }, core);
    const kernels = toKernels(factors, layer.geometry, core, 'conv', 0);
    expect(fromKernels(kernels, 'conv', 0)).toEqual(factors);
    const linalg = await createLinalg({ driver: await loadDriver() });
    expect(await joinFactors(factors, linalg)).toEqual({ left: identity, right: matrix });
    await linalg.close();
  });
});

/** ‖product‖² of kernels [out, in, kh, kw] or matrices [out, in], the first applied first. */
function squaredNorm(
  kernels: readonly { readonly dims: readonly number[]; readonly data: ArrayLike<number> }[],
): number {
  let product: { readonly out: number; readonly rest: number; readonly data: Float64Array } | undefined;
  for (const { dims, data } of kernels) {
    const [out, inputs, kh = 1, kw = 1] = dims as [number, number, number?, number?];
    const area = kh * kw;
    const before = product ?? { out: inputs, rest: inputs, data: unit(inputs) };
    const result = new Float64Array(out * area * before.rest);
    for (let o = 0; o < out; o++) {
      for (let i = 0; i < inputs; i++) {
        for (let p = 0; p < area; p++) {
          const factor = data[(o * inputs + i) * area + p]!;
          for (let r = 0; r < before.rest; r++)
            result[(o * area + p) * before.rest + r]! += factor * before.data[i * before.rest + r]!;
        }
      }
    }
    product = { out, rest: area * before.rest, data: result };
  }
  return product!.data.reduce((sum, value) => sum + value * value, 0);
}

function unit(size: number): Float64Array {
  return Float64Array.from({ length: size * size }, (_, at) => (at % (size + 1) === 0 ? 1 : 0));
}

describe(`Frobenius decay of three factors (seed ${seed})`, () => {
  /** Along a random direction, of λ/2 ‖product‖²: as the update graph has it, and as differences in float64 have it. */
  async function slopes(
    single: TestModel,
    scheme: Scheme,
    rank: number,
    lambda: number,
  ): Promise<readonly [number, number]> {
    const { model } = factorized(single, scheme, rank);
    const values = model.graph.initializers.filter(({ name }) => /[.][vsu]$/.test(name));
    const { pairs } = findFactorPairs(model, inferShapes(model), new Set(values));
    expect(pairs.map(({ factors }) => factors.map(({ value }) => value.name))).toEqual([
      ['a.weight.v', 'a.weight.s', 'a.weight.u'],
    ]);
    const parameters = layOut(
      values.map((value) => ({ value, name: value.name, shape: value.tensor!.dims, decay: false, pair: 'a' })),
    );
    const weights = new Float32Array(lengthOf(parameters));
    for (const { value, offset } of parameters) weights.set(value.tensor!.toFloat32(), offset);
    const settings = {
      ...defaultGraphSettings,
      optimizer: 'sgd',
      momentum: 0,
      weightDecay: 0,
      clip: null,
      frobeniusDecay: lambda,
    } as const;
    const graph = buildUpdateGraph({ parameters, pairs }, settings);
    const session = await driver.createSession(graph.bytes(), { threads: 1 });
    const { inputs, outputs } = graph.interface;
    const zeros = (length: number) => ({ type: 'float32', dims: [length], data: new Float32Array(length) }) as const;
    const result = await session.run({
      [inputs.parameters]: { type: 'float32', dims: [weights.length], data: weights },
      [inputs.gradient]: zeros(weights.length),
      [inputs.state]: zeros(graph.stateLength),
      [inputs.learningRate]: { type: 'float32', dims: [], data: Float32Array.of(1) },
      [inputs.step]: { type: 'int64', dims: [], data: BigInt64Array.of(1n) },
    });
    await session.close();
    const moved = result[outputs.parameters]!.data as Float32Array;
    const direction = randomFloats(weights.length, seed, 'direction');
    const byGraph = direction.reduce((sum, d, at) => sum + d * (weights[at]! - moved[at]!), 0);
    const at = (distance: number): number => {
      const kernels = pairs[0]!.factors.map(({ value, isTransposed }) => {
        const { offset, size, shape } = parameters.find((parameter) => parameter.value === value)!;
        const data = Float64Array.from(
          { length: size },
          (_, i) => weights[offset + i]! + distance * direction[offset + i]!,
        );
        const [rows, cols] = shape as [number, number];
        if (!isTransposed) return { dims: shape, data };
        return { dims: [cols, rows], data: data.map((_, i) => data[(i % rows) * cols + Math.floor(i / rows)]!) };
      });
      return (lambda / 2) * squaredNorm(kernels);
    };
    const step = 1e-5;
    return [byGraph, (at(step) - at(-step)) / (2 * step)];
  }

  it('is the gradient of λ/2 ‖U S V‖²', async () => {
    const shape = fc.record({
      kind: fc.constantFrom('core', 'tucker', 'split', 'gemm', 'right', 'left'),
      channels: fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 6 })),
      kernel: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
      rank: fc.integer({ min: 1, max: 4 }),
      lambda: fc.constantFrom(1, 0.25, 1.5),
      transB: fc.constantFrom(0, 1),
    });
    await fc.assert(
      fc.asyncProperty(shape, async ({ kind, channels, kernel, rank, lambda, transB }) => {
        const [inputs] = channels;
        const dense = kind === 'gemm' ? gemm('a', channels, { transB }, true) : matmul('a', channels, kind === 'left');
        const isConv = kind === 'core' || kind === 'tucker' || kind === 'split';
        const single = isConv
          ? chain([1, inputs, 6, 6], [conv('a', channels, kernel)])
          : chain(kind === 'left' ? [2, inputs, 3] : kind === 'gemm' ? [3, inputs] : [2, 3, inputs], [dense]);
        const scheme = { core, tucker, split, gemm: products, right: products, left: products }[kind];
        const [byGraph, byDifferences] = await slopes(single, scheme, rank, lambda);
        // float32 sums of at most 100 products each, some of which cancel.
        expect(Math.abs(byGraph - byDifferences)).toBeLessThanOrEqual(2e-5 * Math.max(1, Math.abs(byDifferences)));
      }),
      { seed, numRuns: 30 },
    );
  });
});
