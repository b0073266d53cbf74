import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { convert } from '../../src/convert/convert.js';
import { readPairs, writePairs } from '../../src/rewrite/pairs.js';
import { readModel } from '../../src/graph/read.js';
import { writeModel } from '../../src/graph/write.js';
import { merge } from '../../src/merge/merge.js';
import { DOUBLE, FLOAT16 } from '../../src/onnx/data-type.js';
import { Tensor } from '../../src/onnx/tensor.js';
import { buildModel, type TestModel, type TestNode } from '../support/models.js';
import { failureOf } from '../support/errors.js';
import { hasShared, modelPath } from '../support/shared.js';
import { modelWriter, relativeDifference, run, temporaryFolder } from '../inspect/support/files.js';
import { batchNormalization, chain, conv, gemm, matmul, plain, seed } from '../inspect/support/layers.js';

const folder = temporaryFolder();
const write = modelWriter(folder);

/** Output beside the input. */
const beside = (path: string, suffix: string): string => path.replace(/\.onnx$/, `${suffix}.onnx`);

interface Shape {
  readonly ops: readonly string[];
  readonly initializers: readonly string[];
}

function shapeOf(path: string): Shape {
  const { graph, file } = readModel(path);
  file?.close();
  return {
    ops: graph.nodes.map(({ opType }) => opType),
    initializers: graph.initializers.map(({ name }) => name).sort(),
  };
}

/**
 * Both models sum the same products in another order and round the factors or the product once: relative differences stay
 * below (terms of a sum) · 2^-24, which for the sizes here is less than 1e-5.
 */
const rounding = 1e-5;

describe(`merge ∘ convert at full rank is the original (seed ${seed})`, () => {
  const roundTrip = async (
    original: TestModel,
    inputDims: readonly number[],
    scheme: 'spatial' | 'channel',
  ): Promise<void> => {
    const input = write(original);
    const converted = beside(input, '.converted');
    const merged = beside(input, '.merged');
    const settings = { rankScale: 1, allowBigger: true, keepFirst: false, keepLast: false, verify: false } as const;
    await convert(input, { ...settings, scheme, init: 'spectral', output: converted });
    expect(shapeOf(converted).ops.length).toBeGreaterThan(original.nodes.length);
    const report = await merge(converted, { all: true, output: merged });
    expect(report).toMatchObject({ merged: [{ name: 'a', recognizedBy: 'metadata' }], kept: [], warnings: [] });
    expect(report.verify!.relativeDiff).toBeLessThanOrEqual(rounding);
    expect(relativeDifference(await run(merged, inputDims), await run(input, inputDims))).toBeLessThanOrEqual(rounding);
    // Names, nodes and metadata are those of the original.
    expect(shapeOf(merged)).toEqual(shapeOf(input));
    const back = readModel(merged);
    expect(back.graph.nodes[0]!.name).toBe('a');
    expect(readPairs(back)).toEqual([]);
    back.file?.close();
  };

  const geometry = fc.record({
    channels: fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 6 })),
    kernel: fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 })),
    strides: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
    dilations: fc.tuple(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 1, max: 2 })),
    pads: fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 4, maxLength: 4 }),
    autoPad: fc.constantFrom('NOTSET', 'SAME_UPPER', 'SAME_LOWER', 'VALID'),
    size: fc.tuple(fc.integer({ min: 8, max: 12 }), fc.integer({ min: 8, max: 12 })),
    bias: fc.boolean(),
    scheme: fc.constantFrom('spatial', 'channel'),
  });

  it('Conv: kernel × stride × pad × dilation × auto_pad × scheme', async () => {
    await fc.assert(
      fc.asyncProperty(geometry, async (g) => {
        // onnxruntime refuses auto_pad SAME with dilations.
        const dilations = g.autoPad.startsWith('SAME') ? [1, 1] : g.dilations;
        const padding = g.autoPad === 'NOTSET' ? { pads: g.pads } : { auto_pad: g.autoPad };
        const step = conv('a', g.channels, g.kernel, { strides: g.strides, dilations, ...padding }, g.bias);
        const inputDims = [2, g.channels[0], ...g.size];
        await roundTrip(chain(inputDims, [step]), inputDims, g.scheme);
      }),
      { seed, numRuns: 16 },
    );
  });

  it.each([
    ['Gemm', [3, 12], gemm('a', [12, 9], {}, true)],
    [
      'Gemm transB, alpha, beta',
      [3, 12],
      gemm('a', [12, 9], { transB: 1, alpha: { float: 0.5 }, beta: { float: 2 } }, true),
    ],
    ['Gemm transA', [12, 3], gemm('a', [12, 9], { transA: 1 }, true)],
    ['Gemm transA, transB, no bias', [12, 3], gemm('a', [12, 9], { transA: 1, transB: 1 })],
    ['MatMul', [2, 3, 12], matmul('a', [12, 9])],
    ['MatMul W·x', [2, 12, 3], matmul('a', [12, 9], true)],
  ] as const)('%s', async (_, inputDims, step) => {
    await roundTrip(chain(inputDims, [step]), inputDims, 'spatial');
  });
});

describe('pairs that others factorized', () => {
  const expectMerged = async (model: TestModel, inputDims: readonly number[], op: string): Promise<string> => {
    const input = write(model);
    const output = beside(input, '.merged');
    const report = await merge(input, { all: true, output });
    expect(report).toMatchObject({ merged: [{ name: 'a + b', recognizedBy: 'structure' }], kept: [], warnings: [] });
    expect(shapeOf(output).ops).toEqual([op]);
    expect(relativeDifference(await run(output, inputDims), await run(input, inputDims))).toBeLessThanOrEqual(rounding);
    return output;
  };

  const axis = fc.record({
    kernel: fc.integer({ min: 1, max: 4 }),
    stride: fc.integer({ min: 1, max: 3 }),
    dilation: fc.integer({ min: 1, max: 2 }),
    pads: fc.tuple(fc.integer({ min: 0, max: 2 }), fc.integer({ min: 0, max: 2 })),
    isFirst: fc.boolean(),
  });

  it('Conv: each axis of the window in either factor', async () => {
    await fc.assert(
      fc.asyncProperty(axis, axis, fc.boolean(), async (height, width, bias) => {
        const idle = { kernel: 1, stride: 1, dilation: 1, pads: [0, 0] };
        const factor = (name: string, channels: readonly [number, number], isFirst: boolean) => {
          const h = height.isFirst === isFirst ? height : idle;
          const w = width.isFirst === isFirst ? width : idle;
          const attributes = {
            strides: [h.stride, w.stride],
            dilations: [h.dilation, w.dilation],
            pads: [h.pads[0]!, w.pads[0]!, h.pads[1]!, w.pads[1]!],
          };
          return conv(name, channels, [h.kernel, w.kernel], attributes, !isFirst && bias);
        };
        const inputDims = [2, 5, 11, 10];
        await expectMerged(
          chain(inputDims, [factor('a', [5, 3], true), factor('b', [3, 7], false)]),
          inputDims,
          'Conv',
        );
      }),
      { seed, numRuns: 16 },
    );
  });

  it.each([
    ['both SAME_LOWER', { auto_pad: 'SAME_LOWER', strides: [1, 2] }, { auto_pad: 'SAME_LOWER', strides: [2, 1] }],
    ['SAME_UPPER and numbers', { auto_pad: 'SAME_UPPER' }, { pads: [2, 0, 1, 0], strides: [2, 1] }],
    ['SAME_LOWER and SAME_UPPER', { auto_pad: 'SAME_LOWER' }, { auto_pad: 'SAME_UPPER' }],
  ] as const)('padding: %s', async (_, first, second) => {
    const inputDims = [1, 5, 9, 8];
    const model = chain(inputDims, [conv('a', [5, 3], [1, 4], first), conv('b', [3, 7], [4, 1], second)]);
    await expectMerged(model, inputDims, 'Conv');
  });

  it('padding that no single layer has keeps the pair, with a reason', async () => {
    const input = write(
      chain(
        [1, 5, 9, 8],
        [
          conv('a', [5, 3], [1, 4], { auto_pad: 'SAME_LOWER', strides: [1, 2] }),
          conv('b', [3, 7], [4, 1], { pads: [2, 0, 1, 0] }),
        ],
      ),
    );
    const report = await merge(input, { all: true, output: beside(input, '.merged') });
    expect(report.merged).toEqual([]);
    expect(report.kept).toEqual([
      { name: 'a + b', label: 'a + b', reason: expect.stringMatching(/size of the input/) as string },
    ]);
  });

  it.each([
    [
      'Gemm Gemm',
      [3, 12],
      gemm('a', [12, 4], { transB: 1, alpha: { float: 3 } }),
      gemm('b', [4, 9], { transB: 1 }, true),
      'Gemm',
    ],
    [
      'Gemm transA, MatMul',
      [12, 3],
      gemm('a', [12, 4], { transA: 1, alpha: { float: -2 } }),
      matmul('b', [4, 9]),
      'Gemm',
    ],
    ['Gemm, MatMul', [3, 12], gemm('a', [12, 4], { transB: 1 }), matmul('b', [4, 9]), 'MatMul'],
    ['MatMul, Gemm', [3, 12], matmul('a', [12, 4]), gemm('b', [4, 9], { alpha: { float: 2 } }, true), 'Gemm'],
    ['MatMul, MatMul', [2, 3, 12], matmul('a', [12, 4]), matmul('b', [4, 9]), 'MatMul'],
    ['W·x twice', [2, 12, 3], matmul('a', [12, 4], true), matmul('b', [4, 9], true), 'MatMul'],
  ] as const)('%s', async (_, inputDims, first, second, op) => {
    const output = await expectMerged(chain(inputDims, [first, second]), inputDims, op);
    expect(shapeOf(output).initializers[0]).toBe(
      first.weights.length > 0 && second.weights.length > 1 ? 'b.bias' : 'b.weight.merged',
    );
  });

  it('through an Identity, weights as inputs (IR 3)', async () => {
    const model = chain([1, 5, 8, 8], [conv('a', [5, 3], [3, 3]), plain('Identity'), conv('b', [3, 7], [1, 1])], {
      opset: 8,
    });
    const weights = model.initializers!.map(({ name, dims }) => ({ name, dims }));
    const old = { ...model, irVersion: 3, inputs: [...model.inputs, ...weights] };
    const output = await expectMerged(old, [1, 5, 8, 8], 'Conv');
    const { graph, file } = readModel(output);
    file?.close();
    expect(graph.inputs.map(({ name }) => name)).toEqual(['x', 'b.weight.merged']);
  });
});

describe('which pairs are merged', () => {
  const dims = [1, 32, 12, 12];
  const model = chain(dims, [
    conv('a', [32, 4], [1, 3]),
    conv('b', [4, 32], [3, 1], {}, true),
    plain('Relu'),
    conv('c', [32, 30], [3, 3]),
    conv('d', [30, 32], [1, 1], {}, true),
  ]);

  it('those where the single layer has no more MACs', async () => {
    const input = write(model);
    const report = await merge(input, { output: beside(input, '.merged') });
    expect(report.merged.map(({ name }) => name)).toEqual(['c + d']);
    expect(report.kept).toEqual([
      { name: 'a + b', label: 'a + b', reason: 'rank 4: the pair has 0.08× the MACs of one layer' },
    ]);
    expect(report.totals.macs.after).toBeLessThan(report.totals.macs.before);
    const [merged] = report.merged;
    expect(merged).toEqual({
      name: 'c + d',
      label: 'c + d',
      op: 'Conv',
      scheme: 'channel',
      rank: 30,
      recognizedBy: 'structure',
      params: { before: 30 * 32 * 9 + 32 * 30 + 32, after: 32 * 32 * 9 + 32 },
      macs: { before: (30 * 32 * 9 + 32 * 30) * 144, after: 32 * 32 * 9 * 144 },
    });
    expect(report.totals.macs.before - report.totals.macs.after).toBe(merged!.macs.before - merged!.macs.after);
  });

  it('all with `all`', async () => {
    const input = write(model);
    const report = await merge(input, { all: true, output: beside(input, '.merged') });
    expect(report.merged.map(({ name }) => name)).toEqual(['a + b', 'c + d']);
    expect(report.totals.macs.after).toBeGreaterThan(report.totals.macs.before);
  });

  it('none: the output computes what the input does, and the report says so', async () => {
    const input = write(chain(dims, [conv('a', [32, 32], [3, 3], {}, true)]));
    const report = await merge(input, { output: beside(input, '.merged') });
    expect(report).toMatchObject({ merged: [], kept: [], foldedBatchNormalizations: 0, verify: { maxAbsDiff: 0 } });
    expect(report.warnings).toEqual(['nothing was merged or folded: the output is the input']);
  });
});

describe('shared weights, metadata and BatchNormalization', () => {
  /** Two convolutions of one weight, each with a BatchNormalization. */
  function shared(): TestModel {
    const model = chain(
      [1, 16, 8, 8],
      [
        conv('a', [16, 16], [3, 3]),
        batchNormalization('bn1', 16),
        plain('Relu'),
        conv('b', [16, 16], [3, 3]),
        batchNormalization('bn2', 16),
      ],
    );
    const sharing = (node: TestNode): TestNode =>
      node.name === 'b' ? { ...node, inputs: [node.inputs[0]!, 'a.weight'] } : node;
    return {
      ...model,
      initializers: model.initializers!.filter(({ name }) => name !== 'b.weight'),
      nodes: model.nodes.map(sharing),
    };
  }
  const settings = { keepFirst: false, keepLast: false, init: 'spectral', scheme: 'channel', verify: false } as const;

  it('a pair that two layers share becomes one weight', async () => {
    const input = write(shared());
    const converted = beside(input, '.converted');
    const report = await convert(input, { ...settings, rankScale: 1, allowBigger: true, output: converted });
    expect(report.layers.map(({ action }) => action)).toEqual(['factorized', 'factorized']);
    const output = beside(input, '.merged');
    const merged = await merge(converted, { output, foldBatchNormalization: false });
    expect(merged.merged.map(({ name, params }) => [name, params.after])).toEqual([
      ['a', 16 * 16 * 9],
      ['b', 0],
    ]);
    expect(shapeOf(output)).toEqual(shapeOf(input));
    expect(relativeDifference(await run(output, [1, 16, 8, 8]), await run(input, [1, 16, 8, 8]))).toBeLessThan(
      rounding,
    );
  });

  it('BatchNormalization goes into kept pairs, whose records follow', async () => {
    const input = write(shared());
    const converted = beside(input, '.converted');
    await convert(input, { ...settings, rankScale: 0.25, output: converted });
    const output = beside(input, '.merged');
    const report = await merge(converted, { output });
    expect(report).toMatchObject({ merged: [], foldedBatchNormalizations: 2, keptBatchNormalizations: [] });
    expect(report.kept.map(({ name }) => name)).toEqual(['a', 'b']);
    const model = readModel(output);
    expect(model.graph.nodes.map(({ opType }) => opType)).toEqual(['Conv', 'Conv', 'Relu', 'Conv', 'Conv']);
    for (const record of readPairs(model)) {
      const [first, second] = record.nodes.map((name) => model.graph.nodes.find((node) => node.name === name));
      expect([first!.inputs[1]!.name, second!.inputs[1]!.name]).toEqual(record.factors);
    }
    // The shared factor got a scale of its own for each layer.
    expect(new Set(readPairs(model).map(({ factors }) => factors[1])).size).toBe(2);
    expect(new Set(readPairs(model).map(({ factors }) => factors[0])).size).toBe(1);
    model.file?.close();
  });

  it('records of pairs that are gone go too, with a warning', async () => {
    const input = write(chain([1, 16, 8, 8], [conv('a', [16, 16], [3, 3]), plain('Relu')]));
    const converted = beside(input, '.converted');
    await convert(input, { ...settings, output: converted });
    const model = readModel(converted);
    const records = readPairs(model);
    writePairs(model, [...records, { ...records[0]!, name: 'gone', nodes: ['gone.v', 'gone.u'] }]);
    const stale = beside(input, '.stale');
    writeModel(model, stale);
    model.file?.close();
    const output = beside(input, '.merged');
    const report = await merge(stale, { output });
    expect(report.warnings[0]).toMatch(/'gone': there is no layer 'gone\.v'/);
    const back = readModel(output);
    expect(readPairs(back)).toEqual(records);
    back.file?.close();
  });

  it('float16 weights stay float16', async () => {
    const model = readModel(buildModel(chain([1, 8, 8, 8], [conv('a', [8, 6], [3, 3]), conv('b', [6, 16], [1, 1])])));
    for (const value of model.graph.initializers) {
      const { name, dims } = value.tensor!;
      model.graph.setTensor(value, Tensor.ofFloats(name, dims, value.tensor!.toFloat32(), FLOAT16));
    }
    // The values between are float16 as well.
    for (const value of [...model.graph.inputs, ...model.graph.outputs]) {
      value.declared = { dataType: FLOAT16, dims: value.declared?.dims };
      value.info = undefined;
    }
    const input = join(folder, 'half.onnx');
    writeModel(model, input);
    const output = beside(input, '.merged');
    const report = await merge(input, { all: true, output });
    // One rounding of each weight to 11 bits, against one of the value between.
    expect(report.verify!.tolerance).toBe(32 * 2 ** -11);
    expect(report.verify!.relativeDiff).toBeLessThan(4 * 2 ** -11);
    const back = readModel(output);
    expect(back.graph.initializers.map(({ tensor }) => tensor!.dataType)).toEqual([FLOAT16]);
    back.file?.close();
  });
});

describe('float64 pairs are multiplied in float64', () => {
  /** The chain with every float32 weight as its double plus what float32 cannot hold. */
  const inDoubles = (model: TestModel): TestModel => ({
    ...model,
    inputs: model.inputs.map((value) => ({ ...value, type: 'float64' as const })),
    outputs: model.outputs.map((value) => ({ ...value, type: 'float64' as const })),
    initializers: model.initializers!.map(({ name, dims, data }) => ({
      name,
      dims,
      type: 'float64' as const,
      data: Float64Array.from(data as Float32Array, (value, i) => value * (1 + 1e-9 * Math.sin(i))),
    })),
  });

  it.each([
    ['Gemm', [gemm('a', [12, 5], { alpha: { float: 0.5 } }), gemm('b', [5, 9], { transB: 1 }, true)], [3, 12]],
    ['MatMul', [matmul('a', [12, 5]), matmul('b', [5, 9])], [2, 3, 12]],
    ['MatMul W·x', [matmul('a', [12, 5], true), matmul('b', [5, 9], true)], [2, 12, 3]],
  ] as const)('%s', async (_, steps, inputDims) => {
    const input = write(inDoubles(chain(inputDims, steps)));
    const output = beside(input, '.merged');
    const report = await merge(input, { all: true, output });
    expect(report.merged).toHaveLength(1);
    // Sums of 12 and 5 terms, a rounding of 2^-53 each; float32 factors would be off by 1e-9 and their product by 2^-24.
    expect(report.verify!.relativeDiff).toBeLessThan(1e-14);
  });

  it('Conv, whose kernels onnxruntime has in float32 only', async () => {
    const model = inDoubles(chain([1, 4, 8, 8], [conv('a', [4, 3], [1, 3]), conv('b', [3, 6], [3, 1])]));
    const [v, u] = model.initializers!.map(({ data }) => data as Float64Array);
    const input = write(model);
    const output = beside(input, '.merged');
    await merge(input, { all: true, output, verify: false });
    const back = readModel(output);
    const weight = back.graph.initializers[0]!.tensor!;
    expect([weight.dataType, weight.dims]).toEqual([DOUBLE, [6, 4, 3, 3]]);
    const data = weight.toNumbers();
    back.file?.close();
    let difference = 0;
    for (let o = 0; o < 6; o++) {
      for (let i = 0; i < 4; i++) {
        for (let y = 0; y < 3; y++) {
          for (let x = 0; x < 3; x++) {
            let sum = 0;
            for (let k = 0; k < 3; k++) sum += u![(o * 3 + k) * 3 + y]! * v![(k * 4 + i) * 3 + x]!;
            difference = Math.max(difference, Math.abs(sum - data[((o * 4 + i) * 3 + y) * 3 + x]!));
          }
        }
      }
    }
    expect(difference).toBeLessThan(1e-15);
  });
});

describe('nothing is written where something is wrong', () => {
  const leftovers = (path: string): string[] => readdirSync(folder).filter((name) => name.includes(basename(path)));

  it('VERIFY: a product that loses what the pair keeps', async () => {
    // Factors that cancel: W = 1e6·(p − q) with p ≈ q to seven digits, so W·x and the pair differ by more than rounding.
    const model = chain([4, 8], [matmul('a', [8, 4]), matmul('b', [4, 8])]);
    const [a, b] = model.initializers!.map(({ data }) => data as Float32Array);
    for (let i = 0; i < 8; i++) {
      const value = 1 + i / 8;
      a!.set([value * (1 + 1e-6), value, 0, 0], i * 4);
      for (let k = 0; k < 4; k++) b![k * 8 + i] = [1e6, -1e6, 0, 0][k]! * (1 + i / 3);
    }
    const input = write(model);
    const output = beside(input, '.merged');
    const failure = await failureOf('VERIFY', () => merge(input, { all: true, output }));
    expect(failure.message).toMatch(/differs from the original by .* of the largest output/);
    expect(leftovers(output)).toEqual([]);
  });

  it('NUMERIC: a factor that is not finite', async () => {
    const model = chain([4, 8], [matmul('a', [8, 4]), matmul('b', [4, 8])]);
    (model.initializers![0]!.data as Float32Array)[3] = Infinity;
    const input = write(model);
    const failure = await failureOf('NUMERIC', () => merge(input, { all: true, output: beside(input, '.merged') }));
    expect(failure.message).toMatch(/pair 'a \+ b'/);
    expect(leftovers(beside(input, '.merged'))).toEqual([]);
  });

  it('OUTPUT: an existing file without force', async () => {
    const input = write(chain([4, 8], [matmul('a', [8, 4]), matmul('b', [4, 8])]));
    const output = beside(input, '.merged');
    writeFileSync(output, 'mine');
    await failureOf('OUTPUT', () => merge(input, { output }));
    expect((await merge(input, { output, force: true })).output.path).toBe(output);
  });

  it('ABORTED before the file is written', async () => {
    const input = write(chain([4, 8], [matmul('a', [8, 4]), matmul('b', [4, 8])]));
    const output = beside(input, '.merged');
    const controller = new AbortController();
    const onProgress = ({ phase }: { readonly phase: string }): void => {
      if (phase === 'verify') controller.abort();
    };
    await failureOf('ABORTED', () => merge(input, { all: true, output, signal: controller.signal, onProgress }));
    expect(existsSync(output)).toBe(false);
    expect(leftovers(output)).toEqual([]);
  });
});

describe.skipIf(!hasShared)('real models', () => {
  it.each(['cifar10-resnet20-pt1.6-op9-bn.onnx', 'st-resnetv1-8-cifar10.onnx', 'cifar10-vit-pgd-pt2.0-op9.onnx'])(
    '%s: merge ∘ convert computes what convert does',
    async (name) => {
      const converted = join(folder, `${name}.converted.onnx`);
      const output = join(folder, `${name}.merged.onnx`);
      const report = await convert(modelPath(name), { output: converted, init: 'spectral', rankScale: 0.5 });
      const factorized = report.layers.filter(({ action }) => action === 'factorized').length;
      expect(factorized).toBeGreaterThan(0);
      const merged = await merge(converted, { output, all: true });
      expect(merged.merged).toHaveLength(factorized);
      expect(merged.merged.every(({ recognizedBy }) => recognizedBy === 'metadata')).toBe(true);
      expect(merged.warnings).toEqual(report.warnings);
      expect(merged.totals.macs.after).toBe(report.totals.macs.before);
      // Tens of layers of float32 sums.
      expect(merged.verify!.relativeDiff).toBeLessThan(rounding);
      expect(shapeOf(output).ops.includes('BatchNormalization')).toBe(merged.keptBatchNormalizations.length > 0);
    },
  );

  it('a full-rank conversion undone is the original, name for name', async () => {
    const name = 'cifar10-resnet20-pt1.6-op9-bn.onnx';
    const converted = join(folder, 'full.onnx');
    const output = join(folder, 'full.merged.onnx');
    await convert(modelPath(name), { output: converted, init: 'spectral', rankScale: 1, allowBigger: true });
    const report = await merge(converted, { output, foldBatchNormalization: false });
    expect(report.kept).toEqual([]);
    expect(shapeOf(output)).toEqual(shapeOf(modelPath(name)));
    expect(report.totals.params.after).toBe(
      (await merge(modelPath(name), { output: join(folder, 'same.onnx'), foldBatchNormalization: false })).totals.params
        .before,
    );
  });
});
