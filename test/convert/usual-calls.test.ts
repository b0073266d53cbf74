import { existsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Progress } from '../../src/convert/call.js';
import { tradeOffCurve } from '../../src/convert/curve.js';
import { readModel } from '../../src/graph/read.js';
import { modelBytes, writeModel } from '../../src/graph/write.js';
import { writtenText } from '../../src/report/written-text.js';
import { FLOAT16 } from '../../src/onnx/data-type.js';
import { Tensor } from '../../src/onnx/tensor.js';
import type { ConvertReport } from '../../src/contracts/convert.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { type ConvertModelCall, convert, usualCalibration } from '../../src/convert/usual-calls.js';
import { normals } from '../factorize/support/weights.js';
import { temporaryFolder } from '../support/command.js';
import { failureOf } from '../support/errors.js';
import { buildModel, type TestInitializer, type TestNode, type TestValue } from '../support/models.js';
import { hasShared, modelPath } from '../support/shared.js';
import { tinyClassifier } from '../support/tiny-classifier.js';

const driver = await loadDriver();
const folder = temporaryFolder();

let count = 0;
/** With the defaults, but fewer pictures. */
async function converted(model: Uint8Array | string, call: ConvertModelCall = {}): Promise<ConvertReport> {
  const input = typeof model === 'string' ? model : join(folder, `${count}.onnx`);
  if (typeof model !== 'string') writeFileSync(input, model);
  const output = join(folder, `${count++}.lowrank.onnx`);
  const calibrate = usualCalibration(call, { images: 32 });
  const report = await convert(input, { output, threads: 1, calibrate, ...call });
  // A file that is there, and that the runtime takes.
  await (await driver.createSession(output)).close();
  return report;
}

const tiny = tinyClassifier();

/** The model with another declaration of its input and output. */
function redeclared(bytes: Uint8Array, batch: number): Uint8Array {
  const model = readModel(bytes);
  for (const value of [...model.graph.inputs, ...model.graph.outputs]) {
    const { dataType, dims } = value.declared!;
    value.declared = { dataType, dims: [batch, ...dims!.slice(1)] };
    value.info = undefined;
  }
  return modelBytes(model);
}

function half(bytes: Uint8Array): Uint8Array {
  const model = readModel(bytes);
  const { graph } = model;
  for (const value of graph.values.values()) {
    if (value.tensor !== undefined) {
      graph.setTensor(value, Tensor.ofFloats(value.name, value.tensor.dims, value.tensor.toFloat32(), FLOAT16));
    }
  }
  for (const value of [...graph.inputs, ...graph.outputs]) {
    value.declared = { ...value.declared!, dataType: FLOAT16 };
    value.info = undefined;
  }
  return modelBytes(model);
}

function weight(name: string, dims: readonly number[], scale = 0.3, offset = 0): TestInitializer {
  const size = dims.reduce((product, dim) => product * dim, 1);
  return { name, dims, data: Float32Array.from(normals(size, 3, name), (value) => offset + scale * value) };
}

interface ChainParts {
  /** Default 16. */
  readonly opset?: number;
  /** Beside `x`. */
  readonly inputs?: readonly TestValue[];
  readonly input?: readonly (string | number)[];
  /** From `x` to `prepared`. */
  readonly before?: readonly TestNode[];
  /** From `a` to `b`; default: Relu. */
  readonly between?: readonly TestNode[];
  /** From `y0` to `y`; default: the logits. */
  readonly end?: TestNode;
  readonly initializers?: readonly TestInitializer[];
  /** Whether logits are far apart. */
  readonly loud?: boolean;
  /** Of what comes before the ReLU of the second layer. */
  readonly bias?: number;
}

/** Three convolutions, the mean, a dense layer. */
function chain(parts: ChainParts = {}): Uint8Array {
  const { input = ['n', 3, 16, 16], before = [], end, inputs = [], initializers = [], bias = 0, loud = false } = parts;
  const between = parts.between ?? [{ op: 'Relu', inputs: ['a'], outputs: ['b'] }];
  return buildModel({
    opset: parts.opset ?? 16,
    inputs: [{ name: 'x', dims: input }, ...inputs],
    outputs: [
      {
        name: 'y',
        ...(end === undefined ? { dims: [input[0]!, 4] } : {}),
        ...(end?.op === 'ArgMax' ? { type: 'int64' } : {}),
      },
    ],
    nodes: [
      ...before,
      { op: 'Conv', inputs: [before.length === 0 ? 'x' : 'prepared', 'w1', 'b1'], outputs: ['a'], name: 'first' },
      ...between,
      { op: 'Conv', inputs: ['b', 'w2', 'b2'], outputs: ['c'], name: 'second' },
      { op: 'Relu', inputs: ['c'], outputs: ['d'] },
      { op: 'Conv', inputs: ['d', 'w3'], outputs: ['e'], name: 'third' },
      { op: 'GlobalAveragePool', inputs: ['e'], outputs: ['p'] },
      { op: 'Flatten', inputs: ['p'], outputs: ['f'] },
      { op: 'MatMul', inputs: ['f', 'w4'], outputs: [end === undefined ? 'y' : 'y0'], name: 'last' },
      ...(end === undefined ? [] : [end]),
    ],
    initializers: [
      weight('w1', [12, 3, 3, 3]),
      weight('b1', [12], 0.1),
      weight('w2', [12, 12, 3, 3]),
      weight('b2', [12], 0.1, bias),
      weight('w3', [12, 12, 3, 3]),
      weight('w4', [12, 4], loud ? 3 : 0.3),
      ...initializers,
    ],
  });
}

const usual = { init: 'whitened', macsBudget: 0.5, rankScale: null };
const byWeights = { init: 'lfai', macsBudget: null, rankScale: 0.25 };
const onlyWeights = (why: RegExp): unknown =>
  expect.stringMatching(new RegExp(`^nothing was fitted to pictures, only to the weights: .*${why.source}`));

const rankOf = ({ layers }: ConvertReport, layer: string): number | null =>
  layers.find(({ name }) => name === layer)!.rank;

describe('a conversion without options', () => {
  it('fits a model of images to synthetic pictures, ranks by what the outputs feel', async () => {
    const report = await converted(tiny);
    expect(report.settings).toMatchObject(usual);
    expect(report.warnings).toEqual([]);
    expect(report.calibration).toMatchObject({ data: 'synthetic', images: 32 });
    expect(report.sensitivity).toMatchObject({ by: 'gradients', unit: 'kl', images: 32 });
    expect(report.agreement).toMatchObject({ data: 'synthetic', images: 128 });
    expect(report.totals.macs.ratio).toBeLessThanOrEqual(0.5);
    const chosen = report.tradeOff!.points.find(({ isChosen }) => isChosen)!;
    expect(chosen.macs).toBe(report.totals.macs.ratio);
    // Without the biases that are added.
    expect(Math.abs(chosen.params - report.totals.params.ratio)).toBeLessThan(0.02);
    expect(chosen.expected).toBe(report.agreement!.kl!.mean);
    for (const { action, sensitivity, name } of report.layers) {
      if (action === 'factorized') expect(sensitivity!.change, name).toBeGreaterThan(0);
    }
  });

  it.each([1, 4])('takes a batch of %d and no other', async (batch) => {
    const report = await converted(redeclared(tiny, batch));
    expect(report.settings).toMatchObject(usual);
    expect(report.calibration).toMatchObject({ images: 32 });
    expect(report.model.inputShape[0]).toBe(batch);
    expect(report.sensitivity).toMatchObject({ by: 'gradients' });
    expect(report.warnings).toEqual([]);
  });

  it('takes a batch that cannot be opened, image by image', async () => {
    // Of one image nothing, of several the sums of those before.
    const summed: TestNode = { op: 'CumSum', inputs: ['a', 'axis'], outputs: ['b'] };
    const axis: TestInitializer = { name: 'axis', type: 'int64', dims: [], data: BigInt64Array.of(0n) };
    const report = await converted(chain({ input: [1, 3, 16, 16], between: [summed], initializers: [axis] }));
    const unmoved = [expect.stringMatching(/^statistics did not move with the pairs: .* one at a time$/)];
    expect(report.settings).toMatchObject({ init: 'whitened' });
    expect(report.calibration).toMatchObject({ images: 32 });
    expect(report.warnings).toEqual(unmoved);
    const channels = 12;
    const ones = ['scale', 'variance'].map((name) => weight(name, [channels], 0, 1.5));
    const zeros = ['shift', 'mean'].map((name) => weight(name, [channels]));
    const normalized: TestNode = {
      op: 'BatchNormalization',
      inputs: ['summed', 'scale', 'shift', 'mean', 'variance'],
      outputs: ['b'],
    };
    const between = [{ ...summed, outputs: ['summed'] }, normalized];
    const initializers = [axis, ...ones, ...zeros];
    const other = await converted(chain({ input: [1, 3, 16, 16], between, initializers }));
    expect(other.settings).toMatchObject({ init: 'whitened' });
    expect(other.warnings).toEqual(unmoved);
  });

  it.each(['NHWC', 'NCHW'])('takes %s', async (layout) => {
    const swap: TestNode = {
      op: 'Transpose',
      inputs: ['x'],
      outputs: ['prepared'],
      attributes: { perm: [0, 3, 1, 2] },
    };
    const isLast = layout === 'NHWC';
    const report = await converted(
      isLast ? chain({ input: ['n', 16, 16, 3], before: [swap] }) : chain({ input: ['n', 3, 16, 16] }),
    );
    expect(report.settings).toMatchObject(usual);
    expect(report.sensitivity).toMatchObject({ by: 'gradients' });
    expect(report.agreement).toMatchObject({ images: 128 });
  });

  it('takes float16, whose ranks are chosen by what the layers lose', async () => {
    const report = await converted(half(tiny));
    expect(report.settings).toMatchObject(usual);
    expect(report.sensitivity).toMatchObject({ by: 'losses' });
    expect(report.warnings).toEqual([
      expect.stringMatching(/^ranks were chosen by what each layer loses, .*not float32/),
    ]);
    expect(report.agreement!.kl!.mean).toBeGreaterThan(0);
  });

  it('takes what is no picture by its weights', async () => {
    const names = ['one', 'two', 'three'] as const;
    const mlp = buildModel({
      inputs: [{ name: 'x', dims: ['n', 40] }],
      outputs: [{ name: 'y' }],
      nodes: names.map((name, index) => ({
        ...{ op: 'MatMul', inputs: [index === 0 ? 'x' : names[index - 1]!, `w ${name}`], name },
        outputs: [index === 2 ? 'y' : name],
      })),
      initializers: names.map((name) => weight(`w ${name}`, [40, 40])),
    });
    const report = await converted(mlp);
    expect(report.settings).toMatchObject(byWeights);
    expect(report.warnings).toEqual([onlyWeights(/'x' is float32 \[-1, 40\], no batch of images/)]);
    expect(rankOf(report, 'two')).toBe(10);
    expect([report.calibration, report.sensitivity, report.agreement, report.tradeOff]).toEqual(
      Array(4).fill(undefined),
    );
  });

  it('takes several inputs by the weights', async () => {
    const before: TestNode[] = [{ op: 'Add', inputs: ['x', 'z'], outputs: ['prepared'] }];
    const report = await converted(chain({ before, inputs: [{ name: 'z', dims: ['n', 3, 16, 16] }] }));
    expect(report.settings).toMatchObject(byWeights);
    expect(report.warnings).toEqual([
      onlyWeights(/the model has 2 inputs \('x' float32 [^)]*, 'z' float32 .*--input name=value/),
    ]);
  });

  it('takes a model that gives NaN on pictures by the weights', async () => {
    // Bright pixels are above 2.05, random numbers here at most 2.
    const before: TestNode[] = [
      { op: 'Sub', inputs: ['limit', 'x'], outputs: ['left'] },
      { op: 'Log', inputs: ['left'], outputs: ['prepared'] },
    ];
    const limit = { name: 'limit', dims: [], data: Float32Array.of(2.05) };
    const report = await converted(chain({ before, initializers: [limit] }));
    expect(report.settings).toMatchObject(byWeights);
    expect(report.warnings).toEqual([onlyWeights(/not finite \(layer 'second'\)/)]);
    expect(report.calibration).toBeUndefined();
  });

  it('takes outputs that are a map of features', async () => {
    const model = readModel(tiny);
    const { graph } = model;
    for (const output of graph.outputs.splice(0)) output.isOutput = false;
    graph.addOutput(graph.value('block2.relu')!, { dataType: 1, dims: undefined });
    const report = await converted(modelBytes(model));
    expect(report.settings).toMatchObject(usual);
    expect(report.sensitivity).toMatchObject({ by: 'gradients', unit: 'squared-error' });
    expect(report.agreement).toMatchObject({ top1: null, kl: null, outputs: [{ name: 'block2.relu' }] });
    const { measured, predicted } = report.tradeOff!.points.find(({ isChosen }) => isChosen)!;
    const [{ relativeError }] = report.agreement!.outputs as readonly [
      { readonly name: string; readonly relativeError: number },
    ];
    expect(measured!.change).toBeCloseTo(relativeError ** 2 / 2, 12);
    // Of the same kind: four layers cut at once, to half.
    expect(predicted / measured!.change).toBeGreaterThan(0.2);
    expect(predicted / measured!.change).toBeLessThan(5);
  });

  it('takes outputs that are no numbers to compare', async () => {
    const end: TestNode = { op: 'ArgMax', inputs: ['y0'], outputs: ['y'], attributes: { axis: 1 } };
    const report = await converted(chain({ end }));
    expect(report.sensitivity).toMatchObject({ by: 'losses' });
    expect(report.agreement).toBeUndefined();
    expect(report.warnings).toEqual([
      expect.stringMatching(/^ranks were chosen by what each layer loses, .*no output of the model is a float/),
      expect.stringMatching(/^the agreement with the original was not measured: no output of floats/),
    ]);
  });

  it('takes layers that are never active', async () => {
    const report = await converted(chain({ bias: -100 }));
    expect(report.settings).toMatchObject(usual);
    expect(report.agreement).toMatchObject({ kl: { mean: 0 }, top1: { share: 1 } });
    expect(report.warnings).toEqual([expect.stringMatching(/: no layer moves the outputs on the images$/)]);
  });

  it('takes operators without a gradient, by what the layers lose', async () => {
    const between: TestNode[] = [
      { op: 'Reshape', inputs: ['a', 'columns'], outputs: ['a1'] },
      { op: 'Col2Im', inputs: ['a1', 'image', 'block'], outputs: ['b'] },
    ];
    const ints = (name: string, ...values: number[]): TestInitializer => ({
      name,
      type: 'int64',
      dims: [values.length],
      data: BigInt64Array.from(values, BigInt),
    });
    const initializers = [ints('columns', 1, 12, 196), ints('image', 14, 14), ints('block', 1, 1)];
    const model = chain({ opset: 18, input: [1, 3, 16, 16], between, initializers });
    const report = await converted(model, { keepFirst: false });
    expect(report.sensitivity).toMatchObject({
      by: 'losses',
      reason: expect.stringMatching(/Col2Im has no gradient/) as unknown,
    });
    expect(report.warnings).toContainEqual(
      expect.stringMatching(/^ranks were chosen by what each layer loses, .*Col2Im/),
    );
    expect(report.totals.macs.ratio).toBeLessThanOrEqual(0.5);
  });

  it('keeps layers that no gradient reaches from counting as nothing', async () => {
    const between: TestNode[] = [{ op: 'Round', inputs: ['a'], outputs: ['b'] }];
    const report = await converted(chain({ between }), { keepFirst: false });
    expect(report.sensitivity).toMatchObject({ by: 'gradients' });
    expect(report.warnings).toContainEqual(expect.stringMatching(/^no gradient of the outputs reaches layer 'first'/));
    const [first] = report.layers;
    expect(first!.sensitivity!.curve[0]!.change).toBeGreaterThan(
      0.01 * report.layers[1]!.sensitivity!.curve[0]!.change,
    );
  });

  it('keeps what the layers cannot bear, and says how much that is', async () => {
    // All that costs is in a first layer that stays.
    const first = [
      weight('w1', [12, 3, 3, 3]),
      weight('b1', [12], 0.1),
      weight('w2', [12, 12, 3, 3]),
      weight('w3', [12, 12, 1, 1]),
    ];
    const stem = buildModel({
      inputs: [{ name: 'x', dims: ['n', 3, 32, 32] }],
      outputs: [{ name: 'y' }],
      nodes: [
        { op: 'Conv', inputs: ['x', 'w1', 'b1'], outputs: ['a'], name: 'first' },
        { op: 'Relu', inputs: ['a'], outputs: ['r'] },
        { op: 'Conv', inputs: ['r', 'w2'], outputs: ['b'], name: 'second', attributes: { strides: [8, 8] } },
        { op: 'GlobalAveragePool', inputs: ['b'], outputs: ['p'] },
        { op: 'Conv', inputs: ['p', 'w3'], outputs: ['c'], name: 'last' },
        { op: 'Flatten', inputs: ['c'], outputs: ['y'] },
      ],
      initializers: first,
    });
    const report = await converted(stem);
    const { macsBudget } = report.settings as { readonly macsBudget: number };
    expect(macsBudget).toBeGreaterThan(0.5);
    expect(report.totals.macs.ratio).toBeLessThanOrEqual(macsBudget);
    const [kept, second, last] = report.layers;
    const candidates = second!.macs.before;
    expect(macsBudget).toBeCloseTo(
      (kept!.macs.before + last!.macs.before + candidates / 3) / report.totals.macs.before,
      6,
    );
    // What the report says, asked for, is the same.
    const again = await converted(stem, { macsBudget });
    expect(again.output.sha256).toBe(report.output.sha256);
  });

  it('gives way where ranks come in steps too large', async () => {
    const report = await converted(tiny, { rankMultiple: 8, exclude: ['block1*'] });
    expect(report.totals.macs.ratio).toBeLessThan(1);
    const none = await converted(tiny, { rankMultiple: 64 });
    expect(none.warnings).toContainEqual(expect.stringMatching(/no layer was factorized/));
    expect(none.settings).toMatchObject({ macsBudget: null });
  });

  it('says in one line that there is nothing to factorize', async () => {
    const model = buildModel({
      inputs: [{ name: 'x', dims: ['n', 3, 16, 16] }],
      outputs: [{ name: 'y' }],
      nodes: [{ op: 'Relu', inputs: ['x'], outputs: ['y'] }],
    });
    const path = join(folder, 'nothing.onnx');
    writeFileSync(path, model);
    const failure = await failureOf('UNSUPPORTED', () => convert(path));
    expect(failure.fact).toBe('no convolution or dense layer that could be factorized');
  });

  it('writes the original where every layer is left out', async () => {
    const report = await converted(tiny, { exclude: ['*'] });
    expect(report.agreement).toMatchObject({ kl: { mean: 0 }, top1: { share: 1 } });
    expect(report.warnings).toContainEqual(expect.stringMatching(/no layer was factorized/));
  });
});

describe('ways to share out a budget', () => {
  it('are measured whole where much changes, and one that is clearly better than what the outputs feel is written', async () => {
    const { sensitivity, agreement, tradeOff } = await converted(chain({ loud: true }), { macsBudget: 0.4 });
    const rules = sensitivity!.rules!;
    expect(rules[0]!.rule).toBe('outputs');
    expect(rules.length).toBeGreaterThan(1);
    const [chosen, ...others] = rules.filter(({ isChosen }) => isChosen);
    expect(others).toEqual([]);
    expect(0.98 * chosen!.change).toBeLessThanOrEqual(Math.min(...rules.map(({ change }) => change)));
    // It was measured as it is written.
    expect(agreement!.kl!.mean).toBeCloseTo(chosen!.change, 4);
    expect(agreement!.images).toBe(chosen!.images);
    // By the sum over layers none is below the first.
    for (const { predicted } of rules) expect(predicted).toBeGreaterThanOrEqual(rules[0]!.predicted * (1 - 1e-9));
    expect(tradeOff!.points.find(({ isChosen }) => isChosen)!.predicted).toBeCloseTo(chosen!.predicted, 9);
  });

  it('have one without ranks of 1 among them where the first leaves a layer one', async () => {
    const { sensitivity, layers } = await converted(chain({ loud: true }), { macsBudget: 0.27 });
    const found = sensitivity!.rules!.map(({ rule }) => rule);
    expect(found).toContain('wide');
    const isWide = sensitivity!.rules!.find(({ isChosen }) => isChosen)!.rule === 'wide';
    if (isWide) for (const { rank } of layers) expect(rank).not.toBe(1);
  });

  it('stay at what the outputs feel where that changes little', async () => {
    const { sensitivity } = await converted(tiny, { macsBudget: 0.98 });
    expect(sensitivity!.rules).toMatchObject([{ rule: 'outputs', isChosen: true }]);
  });
});

describe('layers that are cut to the bone', () => {
  const byBudget = { calibrate: 'none', init: 'spectral', macsBudget: 0.35 } as const;

  it('have the least rank that was asked for', async () => {
    const { layers } = await converted(chain(), { ...byBudget, macsBudget: 0.6, minRank: 3 });
    const ranks = layers.flatMap(({ rank }) => (rank === null ? [] : [rank]));
    expect(ranks.length).toBeGreaterThan(0);
    expect(Math.min(...ranks)).toBeGreaterThanOrEqual(3);
    await failureOf('USAGE', () => converted(chain(), { ...byBudget, minRank: 0.5 }));
    const { message } = await failureOf('USAGE', () =>
      converted(chain(), { ...byBudget, macsBudget: 0.1, minRank: 9 }),
    );
    expect(message).toMatch(/^--macs-budget 0.1 cannot be reached; .*; raise it, lower --min-rank, or factorize more/);
  });

  it('are named, with what to do, unless they start anew', async () => {
    const told = expect.stringMatching(
      /^hardly anything is left of what '.*' at rank 1 of \d+.* gave: keep .* --exclude/,
    );
    const call = { calibrate: 'none', rankScale: 0.02, rankBase: 'min' } as const;
    expect((await converted(chain(), { ...call, init: 'spectral' })).warnings).toContainEqual(told);
    expect((await converted(chain(), { ...call, init: 'baseline' })).warnings).not.toContainEqual(told);
  });
});

describe('the files of a conversion', () => {
  it('are one, unless tensors are to have one of their own; both are named then', async () => {
    const input = join(folder, 'outside.onnx');
    writeModel(readModel(tiny), input, { dataLocation: 'external' });
    const one = await converted(input, { calibrate: 'none', macsBudget: 0.6, init: 'spectral' });
    expect(one.output.data).toBeUndefined();
    expect(existsSync(`${one.output.path}.data`)).toBe(false);
    const two = await converted(input, { calibrate: 'none', macsBudget: 0.6, init: 'spectral', externalData: true });
    const { path, data, bytes } = two.output;
    expect(data!.path).toBe(`${path}.data`);
    expect(statSync(path).size + statSync(data!.path).size).toBe(bytes);
    expect(writtenText(two.output)).toContain(`${path} and ${path}.data, `);
    const both = { singleFile: true, externalData: true } as const;
    await failureOf('USAGE', () => converted(input, { calibrate: 'none', ...both }));
  });
});

describe('full rank', () => {
  const whole = { keepFirst: false, keepLast: false, allowBigger: true } as const;

  it.each(['synthetic', 'none'] as const)('is exact with --calibrate %s', async (calibrate) => {
    for (const init of calibrate === 'none' ? (['lfai', 'spectral'] as const) : (['whitened', 'lfai-data'] as const)) {
      const steps: Progress[] = [];
      const onProgress = (step: Progress): void => void steps.push(step);
      const report = await converted(tiny, { ...whole, calibrate, init, rankScale: 1, onProgress });
      // Of all layers, also where they are fitted one behind the other.
      const fits = steps.filter(({ phase }) => phase === 'factorize');
      expect(new Set(fits.map(({ total }) => total)).size).toBe(1);
      expect(fits.map(({ done }) => done)).toEqual(fits.map(({ done }) => done).toSorted((a, b) => a - b));
      expect(fits.at(-1)!.done).toBe(fits[0]!.total);
      expect(report.layers.every(({ action }) => action === 'factorized')).toBe(true);
      // float32 throughout.
      expect(report.verify!.relativeDiff, init).toBeLessThan(1e-4);
    }
  });

  it('is exact layer by layer', async () => {
    const ranks = {
      'block1.conv1': { rank: 24, scheme: 'spatial' },
      'block2.conv2': { rank: 8, scheme: 'channel' },
    } as const;
    const report = await converted(tiny, { ...whole, ranks });
    expect([rankOf(report, 'block1.conv1'), rankOf(report, 'block2.conv2')]).toEqual([24, 8]);
    expect(report.verify!.relativeDiff).toBeLessThan(1e-4);
    expect(report.agreement!.kl!.mean).toBeLessThan(1e-8);
  });
});

describe('the pictures', () => {
  it('decide with the seed alone', async () => {
    const [one, same, other] = [await converted(tiny), await converted(tiny), await converted(tiny, { seed: 1 })];
    expect(same.output.sha256).toBe(one.output.sha256);
    expect(same.sensitivity).toMatchObject({ unit: 'kl' });
    expect(same.layers.map(({ sensitivity }) => sensitivity)).toEqual(one.layers.map(({ sensitivity }) => sensitivity));
    expect(other.output.sha256).not.toBe(one.output.sha256);
    expect(other.layers.map(({ sensitivity }) => sensitivity)).not.toEqual(
      one.layers.map(({ sensitivity }) => sensitivity),
    );
  });

  it('are of no use to fits of weights and to fresh weights, but where they are asked for', async () => {
    for (const call of [{ init: 'lfai' }, { reinit: true }, { calibrate: 'none' }] as const) {
      const report = await converted(tiny, call);
      expect(report.settings).toMatchObject(byWeights);
      expect(report.calibration).toBeUndefined();
    }
    const asked = await converted(tiny, { init: 'lfai', calibrate: 'synthetic' });
    expect(asked.settings).toMatchObject({ ...usual, init: 'lfai' });
    expect(asked.calibration).toMatchObject({ data: 'synthetic' });
  });
});

describe.skipIf(!hasShared)('real models without options', () => {
  it.each([
    ['cifar100sub3-resnet20-pt1.13-op9-nhwcprep.onnx', 'graph'],
    ['cifar10-marabou-medium-tf2onnx1.8-op9-nhwc.onnx', undefined],
    ['mnist-lenet-onnxmltools-op11.onnx', undefined],
  ])('%s', async (name, from) => {
    const report = await converted(modelPath(name));
    expect(report.settings).toMatchObject({ init: 'whitened', rankScale: null });
    expect(report.sensitivity).toMatchObject({ by: 'gradients', unit: 'kl' });
    expect(report.agreement!.images).toBeGreaterThanOrEqual(64);
    expect(report.agreement!.top1!.share).toBeGreaterThan(0.5);
    if (from !== undefined) expect(report.calibration!.normalizationFrom).toBe(from);
  });

  it('models whose biases are put in are measured whole, for a share to keep and for the curve', async () => {
    const path = modelPath('st-resnetv1-8-cifar10.onnx');
    const { tradeOff: kept } = await converted(path, { keep: 0.4 });
    expect(kept!.points.every(({ measured }) => measured !== null)).toBe(true);
    const { tradeOff } = await tradeOffCurve(path, { calibrate: usualCalibration({}, { images: 16 }), threads: 1 });
    expect(tradeOff.points.filter(({ measured }) => measured !== null)).toHaveLength(4);
  });
});
