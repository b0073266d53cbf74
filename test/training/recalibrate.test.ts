import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Model } from '../../src/graph/model.js';
import { readModel } from '../../src/graph/read.js';
import { modelBytes } from '../../src/graph/write.js';
import { resolveWeight } from '../../src/ops/resolve-weight.js';
import type { Recalibration } from '../../src/contracts/convert.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { poolStatistics } from '../../src/training/pooled-statistics.js';
import { recalibration, type RecalibrationSettings } from '../../src/training/recalibrate.js';
import { encoder, temporaryFolder, writeTree } from '../data/support/images.js';
import { buildModel, type TestInitializer, type TestNode } from '../support/models.js';

const folder = temporaryFolder();
const side = 4;
const epsilon = 1e-3;
const scale = [1.5, 0.5, 1];
const bias = [0.1, -0.2, 0.3];

/** Pixels of six images, each of its own colors: [image][pixel][channel], 0 to 255. */
const pictures = Array.from({ length: 6 }, (_, image) =>
  Array.from({ length: side * side }, (__, pixel) => [
    (37 * image + 11 * pixel) % 256,
    (90 + 5 * image + pixel * pixel) % 256,
    (image * image * 9 + 3 * pixel) % 256,
  ]),
);

async function writePictures(name: string): Promise<string> {
  const files: Record<string, Uint8Array> = {};
  for (const [image, pixels] of pictures.entries()) {
    const data = Uint8Array.from(pixels.flat());
    files[`${image}.png`] = await encoder({ data, width: side, height: side }).png().toBuffer();
  }
  return writeTree(join(folder, name), files);
}

const images = await writePictures('plain');

type Values = readonly (readonly number[])[];

interface Moments {
  readonly mean: number[];
  readonly biased: number[];
  readonly unbiased: number[];
}

/** Of rows of three channels, straight from the definition. */
function moments(rows: Values): Moments {
  const mean = [0, 1, 2].map((c) => rows.reduce((sum, row) => sum + row[c]!, 0) / rows.length);
  const squares = mean.map((m, c) => rows.reduce((sum, row) => sum + (row[c]! - m) ** 2, 0));
  return {
    mean,
    biased: squares.map((sum) => sum / rows.length),
    unbiased: squares.map((sum) => sum / (rows.length - 1)),
  };
}

function normalized(rows: Values): Values {
  const { mean, biased } = moments(rows);
  return rows.map((row) =>
    row.map((value, c) => Math.max(0, ((value - mean[c]!) / Math.sqrt(biased[c]! + epsilon)) * scale[c]! + bias[c]!)),
  );
}

interface Form {
  readonly batch?: number | string;
  readonly opset?: number;
  /** The statistics lie in Constant nodes. */
  readonly areConstants?: boolean;
  /** Both layers read the same statistics. */
  readonly areShared?: boolean;
  readonly spatial?: 0;
  readonly isHalf?: boolean;
}

/** x → BatchNormalization → Relu → BatchNormalization → mean → Reshape: its end takes one image only. */
function twoLayers({ batch = 'n', opset = 13, areConstants, areShared, spatial, isHalf = false }: Form = {}): Model {
  const half = (values: readonly number[]): Uint16Array =>
    // 0.5, 1, 1.5, -0.25 …: all used here are exact in half precision but for their last bits.
    Uint16Array.from(values, (value) => halfBits(value));
  const type = isHalf ? 'float16' : 'float32';
  const tensor = (name: string, values: readonly number[]): TestInitializer => ({
    name,
    type,
    dims: [values.length],
    data: isHalf ? half(values) : Float32Array.from(values),
  });
  const statistics = [tensor('mean1', [0, 0, 0]), tensor('variance1', [1, 1, 1])];
  if (areShared !== true) statistics.push(tensor('mean2', [0, 0, 0]), tensor('variance2', [1, 1, 1]));
  const constants: TestNode[] = statistics.map(({ name, ...rest }) => ({
    op: 'Constant',
    inputs: [],
    outputs: [name],
    attributes: { value: { name: '', ...rest } },
  }));
  const attributes = { epsilon: { float: epsilon }, ...(spatial === undefined ? {} : { spatial }) };
  const second = areShared === true ? ['mean1', 'variance1'] : ['mean2', 'variance2'];
  const bytes = buildModel({
    opset,
    inputs: [{ name: 'x', type, dims: [batch, 3, side, side] }],
    outputs: [{ name: 'y', type, dims: [1, 3] }],
    nodes: [
      ...(areConstants === true ? constants : []),
      { op: 'BatchNormalization', inputs: ['x', 'scale', 'bias', 'mean1', 'variance1'], outputs: ['a'], attributes },
      { op: 'Relu', inputs: ['a'], outputs: ['b'] },
      { op: 'BatchNormalization', inputs: ['b', 'scale', 'bias', ...second], outputs: ['c'], attributes },
      { op: 'GlobalAveragePool', inputs: ['c'], outputs: ['d'] },
      { op: 'Reshape', inputs: ['d', 'shape'], outputs: ['y'] },
    ],
    initializers: [
      tensor('scale', scale),
      tensor('bias', bias),
      { name: 'shape', type: 'int64', dims: [2], data: new BigInt64Array([1n, 3n]) },
      ...(areConstants === true ? [] : statistics),
    ],
  });
  return readModel(bytes);
}

/** The bits of a float16, for values that are normal there. */
function halfBits(value: number): number {
  if (value === 0) return 0;
  const exponent = Math.floor(Math.log2(Math.abs(value)));
  const fraction = Math.round((Math.abs(value) / 2 ** exponent - 1) * 1024);
  return (value < 0 ? 0x8000 : 0) + ((exponent + 15) << 10) + fraction;
}

async function recalibrate(
  model: Model,
  path: string,
  settings: Partial<RecalibrationSettings> = {},
): Promise<{ readonly report: Recalibration; readonly warnings: readonly string[]; readonly seen: number[] }> {
  const seen: number[] = [];
  const done = await recalibration(path, { normalization: 'unit', workers: 0, ...settings })(model, {
    path: 'model.onnx',
    driver: await loadDriver(),
    session: { device: 'cpu', threads: 1 },
    signal: undefined,
    onProgress: (count) => seen.push(count),
  });
  return { ...done, seen };
}

/** Mean and variance of the BatchNormalizations, in order. */
function statisticsOf(model: Model): { readonly mean: number[]; readonly variance: number[] }[] {
  return model.graph.nodes
    .filter((node) => node.is('BatchNormalization'))
    .map((node) => {
      const data = (index: number): number[] => [...resolveWeight(model.graph, node.inputs[index]!)!.data()];
      return { mean: data(3), variance: data(4) };
    });
}

const unit: readonly Values[] = pictures.map((pixels) => pixels.map((row) => row.map((value) => value / 255)));

function expectClose(found: readonly number[], expected: readonly number[], tolerance: number): void {
  found.forEach((value, at) => expect(Math.abs(value - expected[at]!)).toBeLessThanOrEqual(tolerance));
}

describe('recalibration', () => {
  // float32 sums of 96 values of magnitude 1: 96 · 2^-24 relative at most, here in 1e-5 with room for √ and ÷.
  const forms: readonly (readonly [string, Form, number])[] = [
    ['an open batch', {}, 1e-5],
    ['a fixed batch of one', { batch: 1 }, 1e-5],
    ['statistics in Constant nodes', { areConstants: true }, 1e-5],
    ['statistics that two layers share', { areShared: true }, 1e-5],
    ['opset 9', { opset: 9 }, 1e-5],
    ['opset 18, where the axes are an input', { opset: 18 }, 1e-5],
    // 2^-11 of values up to 2, in the input and in what is written.
    ['half precision', { isHalf: true, opset: 15 }, 4e-3],
  ];
  it.each(forms)('%s: mean and unbiased variance of all images', async (_, form, tolerance) => {
    const model = twoLayers(form);
    const { report, warnings, seen } = await recalibrate(model, images);
    expect(report).toMatchObject({ images: 6, batchSize: 6, imageSize: side, layers: 2, kept: [], badImages: 0 });
    expect([warnings, seen]).toEqual([[], [6]]);
    const [first, second] = statisticsOf(model);
    const all = unit.flat();
    expectClose(first!.mean, moments(all).mean, tolerance);
    expectClose(first!.variance, moments(all).unbiased, tolerance);
    expectClose(second!.mean, moments(normalized(all)).mean, tolerance);
    expectClose(second!.variance, moments(normalized(all)).unbiased, tolerance);
    readModel(modelBytes(model));
  });

  it('pools batches: the first layer as if there were one, the second behind the statistics of each batch', async () => {
    const model = twoLayers();
    // All images, in the order of the draw: which three go together shows in the first layer's own batches.
    const { report, seen } = await recalibrate(model, images, { batchSize: 3 });
    expect([report.images, report.batchSize, seen]).toEqual([6, 3, [3, 6]]);
    const [first, second] = statisticsOf(model);
    expectClose(first!.mean, moments(unit.flat()).mean, 1e-5);
    expectClose(first!.variance, moments(unit.flat()).unbiased, 1e-5);
    const splits = [0, 1, 2, 3, 4, 5].flatMap((a) =>
      [a + 1, a + 2, a + 3, a + 4].flatMap((b) => [1, 2, 3].map((c) => [a, b, b + c])),
    );
    const isSplit = splits.some((chosen) => {
      if (chosen.some((image) => image > 5)) return false;
      const part = (isIn: boolean): Values =>
        normalized(unit.filter((__, image) => chosen.includes(image) === isIn).flat());
      const { mean, unbiased } = moments([...part(true), ...part(false)]);
      return (
        mean.every((value, c) => Math.abs(value - second!.mean[c]!) < 1e-5) &&
        unbiased.every((value, c) => Math.abs(value - second!.variance[c]!) < 1e-5)
      );
    });
    expect(isSplit).toBe(true);
  });

  it('takes a folder of classes or of parts as well, and draws from it', async () => {
    const files: Record<string, Uint8Array> = {};
    for (const [image, pixels] of pictures.entries()) {
      const bytes = await encoder({ data: Uint8Array.from(pixels.flat()), width: side, height: side })
        .png()
        .toBuffer();
      files[`train/${image % 2}/${image}.png`] = bytes;
      files[`val/${image % 2}/${image}.png`] = bytes;
    }
    const parts = writeTree(join(folder, 'parts'), files);
    const model = twoLayers();
    const { report } = await recalibrate(model, parts, { images: 4 });
    expect([report.images, report.batchSize]).toEqual([4, 4]);
    const again = twoLayers();
    await recalibrate(again, parts, { images: 4 });
    expect(statisticsOf(again)).toEqual(statisticsOf(model));
  });

  it('keeps what it cannot estimate, with the reason, and says where there is nothing', async () => {
    const model = twoLayers({ spatial: 0, opset: 7 });
    const before = statisticsOf(model);
    const { report, warnings } = await recalibrate(model, images);
    expect(report.layers).toBe(0);
    expect(report.kept).toHaveLength(2);
    expect(warnings).toEqual([expect.stringMatching(/nothing was recalibrated: .*spatial = 0/)]);
    expect(statisticsOf(model)).toEqual(before);
    const relu = readModel(
      buildModel({
        inputs: [{ name: 'x', dims: ['n', 3, side, side] }],
        outputs: [{ name: 'y', dims: ['n', 3, side, side] }],
        nodes: [{ op: 'Relu', inputs: ['x'], outputs: ['y'] }],
      }),
    );
    expect((await recalibrate(relu, images)).warnings).toEqual([expect.stringMatching(/has no BatchNormalization/)]);
  });

  it('changes nothing where the images or settings are no good', async () => {
    const model = twoLayers();
    const before = modelBytes(model);
    const bad = writeTree(join(folder, 'bad'), { '0.png': 'no image', '1.png': '' });
    await expect(recalibrate(model, bad)).rejects.toMatchObject({ code: 'INPUT' });
    await expect(recalibrate(model, join(folder, 'nowhere'))).rejects.toMatchObject({ code: 'INPUT' });
    await expect(recalibrate(model, images, { imageSize: 9 })).rejects.toMatchObject({ code: 'USAGE' });
    expect(() => recalibration(images, { mean: [0, 0] })).toThrow(/--std has 0 numbers/);
    expect(Buffer.from(modelBytes(model)).equals(before)).toBe(true);
  });
});

describe('poolStatistics', () => {
  it('is the statistics of all elements, also far from zero', () => {
    const rows = Array.from({ length: 50 }, (_, at) => [1e6 + Math.sin(at), at, 7]);
    const pool = poolStatistics(3);
    for (const [from, to] of [
      [0, 7],
      [7, 8],
      [8, 50],
    ] as const) {
      const { mean, biased } = moments(rows.slice(from, to));
      pool.add(to - from, mean, biased);
    }
    const { mean, unbiased } = moments(rows);
    expect(pool.count).toBe(50);
    // float64: 2^-53 of 1e6, squared deviations of 1.
    expectClose([...pool.mean], mean, 1e-9);
    expectClose([...pool.variance()], unbiased, 1e-8);
  });
});
