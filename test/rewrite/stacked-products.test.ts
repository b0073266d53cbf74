import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { convert } from '../../src/convert/convert.js';
import { convert as convertAsUsual, usualCalibration } from '../../src/convert/usual-calls.js';
import { readModel } from '../../src/graph/read.js';
import { inspect } from '../../src/inspect/inspect.js';
import { merge } from '../../src/merge/merge.js';
import { inferShapes } from '../../src/ops/infer.js';
import { randomFloats } from '../../src/rewrite/samples.js';
import { findLayers } from '../../src/rewrite/layers.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { prepareTraining } from '../../src/step/prepare.js';
import { defaultGraphSettings } from '../../src/step/settings.js';
import { temporaryFolder } from '../support/command.js';
import { buildModel } from '../support/models.js';
import { expectRightGradients } from '../train/support/loss-of.js';

const driver = await loadDriver();
const folder = temporaryFolder();
const sizeOf = (dims: readonly number[]): number => dims.reduce((product, dim) => product * dim, 1);
const random = (name: string, dims: readonly number[]) => ({ name, dims, data: randomFloats(sizeOf(dims), 5, name) });

interface Case {
  readonly input: readonly number[];
  readonly weight: readonly number[];
  readonly isLeft?: boolean;
  /** Of one matrix. */
  readonly rank: number;
  readonly group: number;
}

const cases: Readonly<Record<string, Case>> = {
  'a matrix for each of three': { input: [2, 3, 4, 6], weight: [3, 6, 5], rank: 5, group: 3 },
  'three products of what is the same': { input: [2, 1, 4, 6], weight: [3, 6, 5], rank: 5, group: 3 },
  'stacks of stacks': { input: [2, 3, 4, 6], weight: [2, 3, 6, 7], rank: 6, group: 6 },
  'matrices on the left': { input: [2, 3, 6, 4], weight: [3, 5, 6], isLeft: true, rank: 5, group: 3 },
  'one matrix': { input: [2, 4, 6], weight: [1, 6, 5], rank: 5, group: 1 },
  'one matrix on the left': { input: [2, 6, 4], weight: [1, 5, 6], isLeft: true, rank: 5, group: 1 },
};

function written(name: string, { input, weight, isLeft = false }: Case): string {
  const path = join(folder, name);
  const inputs = isLeft ? ['w', 'x'] : ['x', 'w'];
  const nodes = [{ op: 'MatMul', inputs, outputs: ['y'], name: 'product' }];
  const model = { opset: 17, inputs: [{ name: 'x', dims: input }], outputs: [{ name: 'y' }] };
  writeFileSync(path, buildModel({ ...model, nodes, initializers: [random('w', weight)] }));
  return path;
}

async function outputOf(path: string, dims: readonly number[]): Promise<Float32Array> {
  const session = await driver.createSession(readFileSync(path));
  try {
    return (await session.run({ x: { type: 'float32', dims, data: randomFloats(sizeOf(dims), 6, 'x') } }))['y']!
      .data as Float32Array;
  } finally {
    await session.close();
  }
}

function expectClose(one: Float32Array, other: Float32Array): void {
  expect(one).toHaveLength(other.length);
  one.forEach((value, at) => expect(value).toBeCloseTo(other[at]!, 5));
}

const whole = { init: 'spectral', allowBigger: true, keepFirst: false, keepLast: false, force: true } as const;

describe('products with a weight of more than two axes', () => {
  it.each(Object.keys(cases))('%s: exact at full rank, counted, inspected, merged back', async (name) => {
    const one = cases[name]!;
    const path = written('product.onnx', one);
    const before = await outputOf(path, one.input);
    const output = join(folder, 'pairs.onnx');
    const report = await convert(path, { ...whole, output, rankScale: 1 });
    const [layer] = report.layers;
    expect(layer).toMatchObject({ action: 'factorized', op: 'MatMul', rank: one.rank, group: one.group });
    expect(layer!.weightError).toBeLessThan(1e-5);
    expectClose(await outputOf(output, one.input), before);

    const pair = readModel(output);
    const shapes = inferShapes(pair);
    const macs = pair.graph.nodes.reduce((sum, node) => sum + shapes.macsOf(node), 0);
    expect(layer!.macs).toMatchObject({ after: macs });
    expect(layer!.params.after).toBe(pair.graph.initializers.reduce((sum, { tensor }) => sum + tensor!.size, 0));
    pair.file?.close();
    const original = readModel(path);
    const known = inferShapes(original);
    expect(layer!.macs.before).toBe(known.macsOf(original.graph.nodes[0]!));
    original.file?.close();

    const seen = await inspect(output);
    expect(seen.layers).toHaveLength(1);
    expect(seen.layers[0]).toMatchObject({ rank: one.rank, scheme: 'dense', op: 'MatMul', group: one.group });
    const merged = join(folder, 'merged.onnx');
    await merge(output, { output: merged, force: true, all: true });
    expectClose(await outputOf(merged, one.input), before);
    const again = readModel(merged);
    expect(findLayers(again.graph, inferShapes(again)).map(({ geometry }) => geometry)).toEqual([
      findLayers(original.graph, known)[0]!.geometry,
    ]);
    again.file?.close();
  });

  it('loses at rank 2 what the singular values of all matrices say', async () => {
    const path = written('cut.onnx', cases['a matrix for each of three']!);
    const { spectrum } = (await inspect(path)).layers[0]!;
    const report = await convert(path, { ...whole, output: join(folder, 'cut.pairs.onnx'), rankScale: 2 / 5 });
    const squares = spectrum!.singularValues.map((value) => value ** 2);
    const sum = (values: readonly number[]): number => values.reduce((all, value) => all + value, 0);
    expect(report.layers[0]!.rank).toBe(2);
    expect(report.layers[0]!.weightError).toBeCloseTo(Math.sqrt(sum(squares.slice(2)) / sum(squares)), 4);
  });

  it('stays where the product would have an axis less', async () => {
    const path = written('vector.onnx', { input: [4, 6], weight: [1, 6, 5], rank: 0, group: 1 });
    expect((await inspect(path)).layers[0]).toMatchObject({ name: 'product', rank: null });
    const model = readModel(path);
    expect(findLayers(model.graph, inferShapes(model))[0]).toMatchObject({ reason: 'weight of 3 dimensions' });
    model.file?.close();
  });
});

describe('a classifier with a product of three matrices', () => {
  const path = join(folder, 'classifier.onnx');
  const ints = (name: string, ...values: number[]) => {
    return { name, type: 'int64', dims: [values.length], data: BigInt64Array.from(values, BigInt) } as const;
  };
  writeFileSync(
    path,
    buildModel({
      opset: 17,
      inputs: [{ name: 'x', dims: ['n', 3, 8, 8] }],
      outputs: [{ name: 'y', dims: ['n', 4] }],
      nodes: [
        { op: 'Reshape', inputs: ['x', 'rows'], outputs: ['r'] },
        { op: 'MatMul', inputs: ['r', 'w'], outputs: ['m'], name: 'stack' },
        { op: 'Add', inputs: ['m', 'b'], outputs: ['a'] },
        { op: 'Relu', inputs: ['a'], outputs: ['h'] },
        { op: 'ReduceMean', inputs: ['h'], outputs: ['mean'], attributes: { axes: [2], keepdims: 0 } },
        { op: 'Flatten', inputs: ['mean'], outputs: ['f'] },
        { op: 'Gemm', inputs: ['f', 'head'], outputs: ['y'], name: 'head' },
      ],
      initializers: [
        ...[ints('rows', 0, 3, 4, 16), random('w', [3, 16, 20]), random('b', [3, 1, 20]), random('head', [60, 4])],
      ],
    }),
  );

  it('has its ranks chosen by gradients, and its pairs trained', async () => {
    const output = join(folder, 'classifier.pairs.onnx');
    const report = await convertAsUsual(path, {
      ...{ output, force: true, keepFirst: false, threads: 1, macsBudget: 0.7 },
      calibrate: usualCalibration({}, { images: 16 }),
    });
    expect(report.sensitivity).toMatchObject({ by: 'gradients' });
    const stack = report.layers.find(({ name }) => name === 'stack')!;
    expect(stack).toMatchObject({ action: 'factorized', group: 3 });
    expect(stack.sensitivity!.change).toBeGreaterThan(0);
    expect(report.totals.macs.ratio).toBeLessThanOrEqual(0.7);
    const prepared = prepareTraining(output, { settings: defaultGraphSettings });
    expect(prepared.parameters.map(({ shape }) => shape)).toContainEqual([3, 16, stack.rank]);
    await expectRightGradients(driver, prepared);
    prepared.model.file?.close();
  });
});
