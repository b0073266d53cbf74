import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { evaluateModel } from '../../src/evaluate/eval.js';
import type { EvalSettings } from '../../src/evaluate/eval-settings.js';
import { NORMALIZATIONS } from '../../src/data/normalize.js';
import { readModel } from '../../src/graph/read.js';
import { modelBytes } from '../../src/graph/write.js';
import type { EvalReport } from '../../src/contracts/eval.js';
import { encoder, temporaryFolder, writeTree } from '../data/support/images.js';
import { buildModel, type TestNode } from '../support/models.js';

/**
 * A model whose logits are 10 times the mean red, green and blue of an image: with pictures of one color every number of
 * the report can be worked out by hand.
 */

const folder = temporaryFolder();

interface Form {
  readonly batch?: number | string;
  readonly isNhwc?: boolean;
  readonly input?: 'float32' | 'uint8' | 'float16';
  readonly end?: 'logits' | 'Softmax' | 'LogSoftmax' | 'spelled out';
  /** The shape that a last Reshape writes. */
  readonly shape?: readonly number[];
  readonly opset?: number;
}

let models = 0;

function colorModel(form: Form = {}): string {
  const { batch = 'n', isNhwc = false, input = 'float32', end = 'logits', shape = [0, 3], opset = 13 } = form;
  const nodes: TestNode[] = [];
  let value = 'x';
  const then = (op: string, others: readonly string[] = [], attributes: TestNode['attributes'] = {}): string => {
    const output = `v${nodes.length}`;
    nodes.push({ op, inputs: [value, ...others], outputs: [output], attributes });
    return (value = output);
  };
  if (input !== 'float32') then('Cast', [], { to: 1 });
  if (input === 'uint8') then('Mul', ['byte']);
  if (isNhwc) then('Transpose', [], { perm: [0, 3, 1, 2] });
  then('GlobalAveragePool');
  then('Mul', ['ten']);
  then('Reshape', ['shape']);
  if (end === 'Softmax' || end === 'LogSoftmax') then(end, [], { axis: 1 });
  if (end === 'spelled out') {
    const numerator = then('Exp');
    nodes.push({ op: 'ReduceSum', inputs: [numerator, 'axis'], outputs: ['sum'], attributes: { keepdims: 1 } });
    then('Div', ['sum']);
  }
  const path = join(folder, `model-${models++}.onnx`);
  const bytes = buildModel({
    opset,
    inputs: [{ name: 'x', type: input, dims: isNhwc ? [batch, 8, 8, 3] : [batch, 3, 8, 8] }],
    outputs: [{ name: value, dims: ['m', 3] }],
    nodes,
    initializers: [
      { name: 'ten', dims: [1], data: new Float32Array([10]) },
      { name: 'byte', dims: [1], data: new Float32Array([1 / 255]) },
      { name: 'shape', type: 'int64', dims: [2], data: BigInt64Array.from(shape, BigInt) },
      { name: 'axis', type: 'int64', dims: [1], data: new BigInt64Array([1n]) },
    ],
  });
  writeFileSync(path, bytes);
  return path;
}

const plain = async (red: number, green: number, blue: number): Promise<Buffer> => {
  const data = Uint8Array.from({ length: 8 * 8 * 3 }, (_, at) => [red, green, blue][at % 3]!);
  return encoder({ data, width: 8, height: 8 }).png().toBuffer();
};

/** Class, then the color of each image; the second green one is redder. */
const colors = {
  a: [
    [200, 20, 30],
    [250, 0, 0],
    [90, 80, 70],
  ],
  b: [
    [10, 180, 40],
    [120, 100, 0],
  ],
  c: [[0, 5, 255]],
} as const;

async function colorImages(name: string, classes: Readonly<Record<string, readonly (readonly number[])[]>> = colors) {
  const files: Record<string, Uint8Array> = {};
  for (const [label, images] of Object.entries(classes)) {
    for (const [index, [red, green, blue]] of images.entries()) {
      files[`${label}/${index}.png`] = await plain(red!, green!, blue!);
    }
  }
  return writeTree(join(folder, name), files);
}

const data = await colorImages('colors');
const settings: Partial<EvalSettings> = { normalization: 'unit', workers: 0, threads: 1 };

/** Mean −log softmax of the labels, straight from the colors. */
function lossByHand(): number {
  const losses = Object.values(colors).flatMap((images, label) =>
    images.map((color) => {
      const exponentials = color.map((value) => Math.exp((10 * value) / 255));
      return -Math.log(exponentials[label]! / exponentials.reduce((sum, value) => sum + value, 0));
    }),
  );
  return losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
}

function expectColors(report: EvalReport): void {
  expect([report.n, report.top1, report.top5]).toEqual([6, 5 / 6, null]);
  // float32 logits up to 10: their rounding, 10 · 2^-24, and that of a half-precision input, 2^-11 of it.
  expect(report.loss).toBeCloseTo(lossByHand(), 3);
  expect(report.confusion).toEqual([
    { actual: 0, predicted: 0, count: 3 },
    { actual: 1, predicted: 0, count: 1 },
    { actual: 1, predicted: 1, count: 1 },
    { actual: 2, predicted: 2, count: 1 },
  ]);
}

describe('evaluateModel', () => {
  const forms: readonly (readonly [string, Form])[] = [
    ['logits', {}],
    ['a Softmax', { end: 'Softmax' }],
    ['a LogSoftmax', { end: 'LogSoftmax' }],
    ['a Softmax in three operators', { end: 'spelled out' }],
    ['a fixed batch of one', { batch: 1 }],
    ['a fixed batch of four', { batch: 4 }],
    ['a batch that its Reshape fixes', { shape: [1, 3] }],
    ['channels last', { isNhwc: true }],
    ['bytes', { input: 'uint8' }],
    ['half precision', { input: 'float16' }],
  ];
  it.each(forms)('%s: the numbers worked out by hand', async (_, form) => {
    const report = await evaluateModel({ model: colorModel(form), data, settings: { ...settings, batchSize: 4 } });
    expectColors(report);
    expect(report.warnings.length).toBe(form.shape !== undefined || form.input === 'uint8' ? 1 : 0);
  });

  it('compares two models image by image', async () => {
    const model = colorModel();
    const versus = colorModel({ isNhwc: true, batch: 1, end: 'Softmax' });
    const seen: number[] = [];
    const report = await evaluateModel({
      model,
      versus,
      data,
      settings,
      onProgress: ({ done, total }) => seen.push(done / total),
    });
    expect(report.versus).toMatchObject({ top1: 5 / 6, difference: 0, discordant: { onlyFirst: 0, onlySecond: 0 } });
    expect(report.versus!.model.path).toBe(versus);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    expect(seen.at(-1)).toBe(1);
  });

  it('takes a class list for more classes than the images have, and asks for one else', async () => {
    const some = await colorImages('some', { c: colors.c, a: colors.a });
    const model = colorModel();
    await expect(evaluateModel({ model, data: some, settings })).rejects.toMatchObject({
      code: 'INPUT',
      message: expect.stringMatching(/the images have 2 classes and the model 3 outputs.*--classes/),
    });
    const classes = join(folder, 'classes.txt');
    writeFileSync(classes, 'a\nb\nc\n');
    const report = await evaluateModel({ model, data: some, classes, settings });
    expect([report.n, report.top1, report.perClass.map(({ n }) => n)]).toEqual([4, 1, [3, 0, 1]]);
  });

  /** A model file that says this of itself. */
  function saying(metadata: Readonly<Record<string, string>>, form: Form = {}): string {
    const path = colorModel(form);
    const model = readModel(path);
    for (const [key, value] of Object.entries(metadata)) model.metadata.set(key, value);
    writeFileSync(path, modelBytes(model));
    model.file?.close();
    return path;
  }

  it('shows each model the images as it says, and itself in the report', async () => {
    const own = { workers: 0, threads: 1 };
    const model = saying({ 'lowrank.normalization': 'unit' });
    const versus = saying({ imgsz: '[8, 8]', stride: '1' }, { isNhwc: true });
    const seen: string[] = [];
    const report = await evaluateModel({
      ...{ model, versus, data, settings: own },
      onPrepared: (path, { normalization }) => seen.push(`${path} ${normalization.from}`),
    });
    expectColors(report);
    expect(report.versus!.discordant).toEqual({ onlyFirst: 0, onlySecond: 0 });
    expect(seen).toEqual([`${model} metadata`, `${versus} metadata`]);
    expect(report.settings).toMatchObject({ normalization: 'unit', imageSize: 8, resize: 8, stretch: false });
    expect(report.preparation).toMatchObject({
      normalization: { name: 'unit', from: 'metadata' },
      classes: { count: 3, from: 'images' },
    });
    expect(report.versus!.preparation!.resize).toMatchObject({ shorterSide: 8, from: 'metadata' });
    // What the user says goes before, for both.
    const given = await evaluateModel({ model, versus, data, settings });
    expect([given.preparation!.normalization.from, given.versus!.preparation!.normalization.from]).toEqual([
      'option',
      'option',
    ]);
    expect(given.normalizationTrial).toBeUndefined();
  });

  it('warns where nothing says the normalization and another is clearly better than the assumed', async () => {
    // A little more red than blue, which ImageNet's smaller mean of blue turns round.
    const reds = Array.from({ length: 12 }, (_, i) => [130 + i, 0, 126 + i]);
    const warnings: string[] = [];
    const evaluated = async (name: string, count: number): Promise<EvalReport> =>
      evaluateModel({
        model: colorModel(),
        data: await colorImages(name, { ...colors, a: reds.slice(0, count) }),
        settings: { workers: 0, threads: 1 },
        onWarning: (warning) => warnings.push(warning),
      });
    const report = await evaluated('reddish', 12);
    const { normalizationTrial: trial } = report;
    expect(trial).toMatchObject({ images: 15, assumed: 'imagenet', better: 'symmetric' });
    expect(trial!.results.map(({ name }) => name)).toEqual(Object.keys(NORMALIZATIONS));
    const unit = trial!.results.find(({ name }) => name === 'unit')!;
    // One green one is redder, and 12 that unit alone has right: 2 · 2^-12.
    expect(unit).toMatchObject({ top1: 14 / 15, difference: 12 / 15, pValue: expect.closeTo(2 ** -11, 9) as number });
    expect(warnings).toEqual(report.warnings);
    expect(warnings[0]).toMatch(/imagenet is only assumed.*of 15 pictures 14 are right with it, 2 without; --norm/);
    expect(report.settings['normalization']).toBe('imagenet');
    // Seven of them could be chance, six normalizations being tried.
    const few = await evaluated('few reddish', 7);
    expect(few.normalizationTrial!.better).toBeNull();
    expect(few.warnings).toEqual([]);
  });

  it('takes the classes that the model names, in their order, and says so where the images have others', async () => {
    const model = saying({ names: "{0: 'red', 1: 'green', 2: 'blue'}" });
    const some = await colorImages('two named', { blue: colors.c, red: colors.a });
    const report = await evaluateModel({ model, data: some, settings });
    expect([report.top1, report.perClass.map(({ name, n }) => `${name} ${n}`)]).toEqual([
      1,
      ['red 3', 'green 0', 'blue 1'],
    ]);
    expect(report.preparation!.classes).toEqual({ count: 3, from: 'metadata' });
    const others = await evaluateModel({ model, data, settings });
    expectColors(others);
    expect(others.preparation!.classes).toEqual({ count: 3, from: 'images' });
    expect(others.warnings).toEqual([
      "the classes of the images ('a', 'b', 'c') are not those that the model names ('red', 'green', 'blue'): they count in their own order; --classes gives another",
    ]);
    // Names that cannot be of these outputs say nothing.
    const stale = saying({ names: "['red', 'green']" });
    const dims = await evaluateModel({ model: stale, data, settings });
    expect(dims.preparation!.classes!.from).toBe('images');
  });

  it('draws the same images for the same seed', async () => {
    const model = colorModel();
    const draw = async (seed: number): Promise<readonly number[]> => {
      const report = await evaluateModel({ model, data, settings: { ...settings, limit: 3, seed } });
      expect(report.n).toBe(3);
      return report.perClass.map(({ n }) => n);
    };
    expect(await draw(1)).toEqual(await draw(1));
    const all = await evaluateModel({ model, data, settings: { ...settings, limit: 100 } });
    expectColors(all);
  });

  it('leaves bad images out up to the limit, in every batch size', async () => {
    const spoilt = await colorImages('spoilt');
    writeTree(spoilt, { 'a/zz.png': 'no image', 'b/zz.png': '' });
    const model = colorModel({ batch: 1 });
    await expect(evaluateModel({ model, data: spoilt, settings })).rejects.toMatchObject({ code: 'INPUT' });
    const report = await evaluateModel({ model, data: spoilt, settings: { ...settings, maxBad: 2 } });
    expectColors(report);
    expect(report.badImages).toEqual({ count: 2, names: ['a/zz.png', 'b/zz.png'] });
  });

  it('says what is wrong with other models', async () => {
    const write = (name: string, model: Parameters<typeof buildModel>[0]): string => {
      const path = join(folder, name);
      writeFileSync(path, buildModel(model));
      return path;
    };
    const relu = (dims: readonly (number | string)[]): string =>
      write(`relu-${dims.join('-')}.onnx`, {
        inputs: [{ name: 'x', dims }],
        outputs: [{ name: 'y', dims }],
        nodes: [{ op: 'Relu', inputs: ['x'], outputs: ['y'] }],
      });
    const rejects = async (model: string, code: string, message: RegExp, more: Partial<EvalSettings> = {}) => {
      await expect(evaluateModel({ model, data, settings: { ...settings, ...more } })).rejects.toMatchObject({
        code,
        message: expect.stringMatching(message),
      });
    };
    await rejects(relu(['n', 3, 8, 8]), 'UNSUPPORTED', /the first output, 'y', is \[1, 3, 8, 8\] for a batch of 1/);
    await rejects(relu(['n', 17, 8, 8]), 'UNSUPPORTED', /17, 8, 8\]: too many channels or too few pixels for images/);
    await rejects(relu(['n', 12]), 'UNSUPPORTED', /no batch of images/);
    await rejects(colorModel(), 'USAGE', /--image-size is 32, and the model takes \[3, 8, 8\]/, { imageSize: 32 });
    await rejects(colorModel(), 'USAGE', /there is no normalization 'cifar'/, { normalization: 'cifar' });
    await rejects(join(folder, 'none.onnx'), 'INPUT', /none\.onnx/);
  });

  it('stops where it is told to', async () => {
    const stop = new AbortController();
    const evaluation = evaluateModel({
      model: colorModel({ batch: 1 }),
      data,
      settings,
      signal: stop.signal,
      onProgress: () => stop.abort(),
    });
    await expect(evaluation).rejects.toMatchObject({ code: 'ABORTED' });
  });
});
