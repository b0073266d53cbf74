import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { convert, type ConvertModelCall, usualCalibration } from '../../src/convert/usual-calls.js';
import { checkModel } from '../../src/graph/check.js';
import { readModel } from '../../src/graph/read.js';
import { modelBytes } from '../../src/graph/write.js';
import { inspect } from '../../src/inspect/inspect.js';
import { merge } from '../../src/merge/merge.js';
import { inferShapes } from '../../src/ops/infer.js';
import { factorizable } from '../../src/factorize/calibration/fit-on-data.js';
import { joinProducts, separateProducts } from '../../src/rewrite/join-products.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { prepareTraining } from '../../src/step/prepare.js';
import { defaultGraphSettings } from '../../src/step/settings.js';
import { outputOf, classifier, floats } from '../passes/support/spelled-out.js';
import { temporaryFolder } from '../support/command.js';
import { buildModel, type TestInitializer, type TestNode } from '../support/models.js';
import { expectRightGradients } from '../train/support/loss-of.js';

const folder = temporaryFolder();
const driver = await loadDriver();
const all = '/q + /k + /v';

interface Kind {
  readonly opset?: number;
  readonly irVersion?: number;
  readonly hasBias?: boolean;
  /** Of which four numbers of a token queries, keys and values are made, the first each: of the same, one pair holds all. */
  readonly reads?: readonly number[];
  /** Keys are multiplied by the weight of queries. */
  readonly isTied?: boolean;
  /** The values are an output of the model too. */
  readonly isGiven?: boolean;
}

/** An image of 6 × 6 as 9 tokens of 24 numbers, attention with three products, and a classifier of the mean. */
function bytesOf({ opset = 17, irVersion = 8, hasBias = false, reads, ...kind }: Kind = {}): Uint8Array {
  const weights = ['q', 'k', 'v'].map((name) => floats(`${name}.weight`, [24, 24], 0.3));
  if (reads !== undefined) weights.forEach(({ data }, at) => project(data, reads[at]!));
  const tokens: TestInitializer[] = [
    { name: 'tokens', type: 'int64', dims: [3], data: BigInt64Array.from([0n, 24n, -1n]) },
  ];
  const product = (name: string, weight: string): TestNode[] => [
    { op: 'MatMul', inputs: ['t', weight], outputs: [hasBias ? `${name}0` : name], name: `/${name}` },
    ...(hasBias ? [{ op: 'Add', inputs: [`${name}0`, `${name}.bias`], outputs: [name] }] : []),
  ];
  const model = classifier(
    [
      { op: 'Conv', inputs: ['x', 'patches'], outputs: ['c'], attributes: { strides: [2, 2] }, name: 'patch' },
      { op: 'Reshape', inputs: ['c', 'tokens'], outputs: ['r'] },
      { op: 'Transpose', inputs: ['r'], outputs: ['t'], attributes: { perm: [0, 2, 1] } },
      ...product('q', 'q.weight'),
      ...product('k', kind.isTied === true ? 'q.weight' : 'k.weight'),
      ...product('v', 'v.weight'),
      { op: 'Transpose', inputs: ['k'], outputs: ['kt'], attributes: { perm: [0, 2, 1] } },
      { op: 'MatMul', inputs: ['q', 'kt'], outputs: ['s'] },
      { op: 'Softmax', inputs: ['s'], outputs: ['p'], attributes: { axis: 2 } },
      { op: 'MatMul', inputs: ['p', 'v'], outputs: ['a'] },
      { op: 'Add', inputs: ['a', 't'], outputs: ['b'] },
      { op: 'ReduceMean', inputs: ['b'], outputs: ['m'], attributes: { axes: [1], keepdims: 0 } },
      { op: 'Gemm', inputs: ['m', 'h', 'h.bias'], outputs: ['y'], name: 'head' },
    ],
    [
      ...[floats('patches', [24, 3, 2, 2]), floats('h', [24, 4]), floats('h.bias', [4]), ...tokens],
      ...weights.filter(({ name }) => kind.isTied !== true || name !== 'k.weight'),
      ...(hasBias ? ['q', 'k', 'v'].map((name) => floats(`${name}.bias`, [24])) : []),
    ],
    opset,
  );
  const outputs = kind.isGiven === true ? [...model.outputs, { name: 'v', dims: ['n', 9, 24] }] : model.outputs;
  return buildModel({ ...model, outputs, irVersion });
}

/** Of a weight [24, 24]: what four numbers of the input give. */
function project(weight: Float32Array, first: number): void {
  weight.fill(0, 0, first * 24).fill(0, (first + 4) * 24);
}

function written(name: string, kind: Kind = {}): string {
  const path = join(folder, name);
  writeFileSync(path, bytesOf(kind));
  return path;
}

async function converted(path: string, call: Omit<ConvertModelCall, 'output'>) {
  const output = path.replace('.onnx', '.small.onnx');
  const report = await convert(path, { threads: 1, calibrate: 'none', ...call, output, force: true });
  return { output, report, actions: report.layers.map(({ label, action }) => [label, action]) };
}

const budget = (): Omit<ConvertModelCall, 'output'> => ({
  // The pair of all at rank 4 has 45 % of the model's, pairs of each at rank 4 have 53 %.
  macsBudget: 0.47,
  calibrate: usualCalibration({}, { images: 32 }),
});

const nodesOf = (bytes: Uint8Array) =>
  readModel(bytes).graph.nodes.map(({ opType, name, inputs, outputs }) => [
    opType,
    name,
    inputs.map((value) => value?.name),
    outputs.map((value) => value?.name),
  ]);

describe('products that read one input', () => {
  const kinds: Readonly<Record<string, Kind>> = {
    'without biases, opset 17': {},
    'with biases, opset 11': { opset: 11, hasBias: true },
    'weights among the inputs (IR 3), opset 11': { opset: 11, irVersion: 3 },
    'one of them an output': { isGiven: true },
  };
  it.each(Object.entries(kinds))('are one product and Split, and three again: %s', async (_, kind) => {
    const bytes = bytesOf(kind);
    const model = readModel(bytes);
    const dims = [2, 3, 6, 6];
    const layers = factorizable(model, inferShapes(model, { inputShapes: { x: dims } })).slice(1, 4);
    const joined = joinProducts(model, layers);
    checkModel(model);
    expect(joined.name).toBe(all);
    expect(model.graph.nodes.filter(({ opType }) => opType === 'Split')).toHaveLength(1);
    expect(model.graph.value('q.weight')).toBeUndefined();
    const before = await outputOf(bytes, dims);
    (await outputOf(modelBytes(model), dims)).forEach((value, at) => expect(value).toBeCloseTo(before[at]!, 5));
    separateProducts(model, joined);
    checkModel(model);
    const sorted = (own: Uint8Array) =>
      nodesOf(own)
        .map((node) => JSON.stringify(node))
        .toSorted();
    expect(sorted(modelBytes(model))).toEqual(sorted(bytes));
    expect(await outputOf(modelBytes(model), dims)).toEqual(before);
  });

  it('are one pair where the outputs change less, as exact as the rank, counted, merged and trained', async () => {
    const { output, report } = await converted(written('shared.onnx', { reads: [0, 0, 0], hasBias: true }), budget());
    const layer = report.layers.find(({ label }) => label === all)!;
    expect(layer).toMatchObject({ action: 'factorized', in: 24, out: 72 });
    expect(layer.reason).toContain('3 products of one input, joined');
    expect(report.warnings.join()).toContain(`3 products that read the same input are one pair '${all}'`);
    expect(report.totals.params.before).toBe(288 + 3 * 600 + 100);
    expect(report.totals.macs.ratio).toBeLessThanOrEqual(0.47);
    expect(layer.rank).toBe(4);
    expect(layer.weightError).toBeLessThan(1e-5);
    expect(report.verify!.relativeDiff).toBeLessThan(1e-4);
    const seen = await inspect(output);
    expect(seen.layers.map(({ label }) => label)).toContain(all);
    const merged = join(folder, 'merged.onnx');
    const { verify } = await merge(output, { output: merged, all: true });
    expect(verify!.relativeDiff).toBeLessThan(1e-5);
    expect(
      readModel(merged)
        .graph.nodes.filter(({ name }) => name.startsWith(all))
        .map(({ opType }) => opType),
    ).toEqual(['MatMul', 'Split']);
    await expectRightGradients(driver, prepareTraining(readFileSync(output), { settings: defaultGraphSettings }));
  });

  it('stay three where that changes the outputs less, as without the trial', async () => {
    const path = written('apart.onnx', { reads: [0, 8, 16] });
    const { report, output } = await converted(path, { ...budget(), macsBudget: 0.55 });
    expect(report.layers.map(({ label }) => label)).toEqual(['patch', '/q', '/k', '/v', 'head']);
    expect(readModel(output).graph.nodes.some(({ opType }) => opType === 'Split')).toBe(false);
  });
});

describe('which products are joined', () => {
  it('not those that are kept', async () => {
    const path = written('excluded.onnx', { reads: [0, 0, 0] });
    const { actions } = await converted(path, { ...budget(), macsBudget: 0.66, exclude: ['/k'] });
    expect(actions).toEqual([
      ['patch', 'kept'],
      ['/q + /v', 'factorized'],
      ['/k', 'kept'],
      ['head', 'kept'],
    ]);
  });

  it('not those that share a weight', async () => {
    const path = written('tied.onnx', { reads: [0, 0, 0], isTied: true });
    const { report } = await converted(path, budget());
    expect(report.layers.map(({ label }) => label)).toEqual(['patch', '/q', '/k', '/v', 'head']);
  });

  it('those that --ranks names, exactly at full rank', async () => {
    const path = written('named.onnx');
    const { report, actions } = await converted(path, { ranks: { [all]: 24 }, allowBigger: true, init: 'spectral' });
    expect(actions).toContainEqual([all, 'factorized']);
    expect(report.verify!.relativeDiff).toBeLessThan(1e-5);
    expect(report.warnings.join()).toContain('as their rank says that was given');
  });

  it('none whose pair is not kept: the model has the products that it had', async () => {
    const path = written('kept.onnx');
    const { report, output } = await converted(path, { ranks: { [all]: 'keep', head: 2 }, keepLast: false });
    const labels = ['/q', '/k', '/v'];
    for (const label of labels) {
      expect(report.layers.find((layer) => layer.label === label)).toMatchObject({
        action: 'kept',
        reason: 'kept by --ranks',
        params: { before: 576, after: 576 },
      });
    }
    const isOfThem = ([, name]: readonly unknown[]): boolean => labels.includes(name as string);
    expect(nodesOf(readFileSync(output)).filter(isOfThem)).toEqual(nodesOf(readFileSync(path)).filter(isOfThem));
  });
});
