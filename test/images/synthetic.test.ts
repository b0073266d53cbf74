import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { CalibrationBatch, CalibrationImages } from '../../src/factorize/calibration/types.js';
import { convert } from '../../src/convert/convert.js';
import { readModel } from '../../src/graph/read.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { float16ToNumber } from '../../src/float16.js';
import { isImageModel } from '../../src/images/image-input.js';
import { syntheticCalibration, type SyntheticSettings } from '../../src/images/synthetic.js';
import { temporaryFolder } from '../support/command.js';
import { failureOf } from '../support/errors.js';
import { buildModel, type TestValue } from '../support/models.js';
import { hasShared, modelsFolder } from '../support/shared.js';
import { tinyClassifier } from '../support/tiny-classifier.js';

const driver = await loadDriver();
const folder = temporaryFolder();

/** A model that takes such an input and gives it back. */
function taking(...inputs: readonly TestValue[]): Uint8Array {
  return buildModel({
    inputs,
    outputs: [{ ...inputs[0]!, name: 'y' }],
    nodes: [{ op: 'Identity', inputs: [inputs[0]!.name], outputs: ['y'] }],
  });
}

async function opened(
  model: string | Uint8Array,
  chosen: Partial<SyntheticSettings> = {},
  largestBatch = 16,
): Promise<{ images: CalibrationImages; batches: readonly CalibrationBatch[] }> {
  const context = { path: 'model.onnx', driver, session: {}, signal: undefined };
  const images = await syntheticCalibration({ images: 6, ...chosen })(readModel(model), largestBatch, context);
  const batches: CalibrationBatch[] = [];
  for await (const batch of images.batches()) batches.push(batch);
  return { images, batches };
}

function valuesOf(batch: CalibrationBatch): readonly number[] {
  const [tensor] = Object.values(batch.feeds);
  const toNumber = tensor!.type === 'float16' ? float16ToNumber : Number;
  return Array.from(tensor!.data as Float32Array, toNumber);
}

describe('synthetic pictures', () => {
  it('come in the batches that the model takes', async () => {
    const open = await opened(taking({ name: 'x', dims: ['n', 3, 16, 16] }), {}, 4);
    expect(open.images).toMatchObject({ input: 'x', images: 6, dims: [4, 3, 16, 16], warnings: [] });
    expect(open.batches.map(({ size, feeds }) => [size, feeds['x']!.dims])).toEqual([
      [4, [4, 3, 16, 16]],
      [2, [2, 3, 16, 16]],
    ]);
    const single = await opened(taking({ name: 'x', dims: [1, 3, 16, 16] }));
    expect(single.batches.map(({ size }) => size)).toEqual([1, 1, 1, 1, 1, 1]);
    const four = await opened(taking({ name: 'x', dims: [4, 3, 16, 16] }));
    expect([four.images.images, four.batches.map(({ size }) => size)]).toEqual([4, [4]]);
    const eight = await opened(taking({ name: 'x', dims: [8, 3, 16, 16] }));
    expect([eight.images.images, eight.batches.map(({ size }) => size)]).toEqual([8, [8]]);
  });

  it('are the same pictures in every layout, type and batch', async () => {
    const settings = { normalization: 'unit' };
    const nchw = valuesOf((await opened(taking({ name: 'x', dims: ['n', 3, 8, 12] }), settings)).batches[0]!);
    const nhwc = valuesOf((await opened(taking({ name: 'x', dims: ['n', 8, 12, 3] }), settings)).batches[0]!);
    const half = valuesOf(
      (await opened(taking({ name: 'x', type: 'float16', dims: ['n', 3, 8, 12] }), settings)).batches[0]!,
    );
    const bytes = (await opened(taking({ name: 'x', type: 'uint8', dims: ['n', 3, 8, 12] }))).batches[0]!;
    expect(bytes.feeds['x']!.data).toBeInstanceOf(Uint8Array);
    const asBytes = valuesOf(bytes);
    nchw.forEach((value, at) => {
      const [image, rest] = [Math.floor(at / 288), at % 288];
      const [channel, pixel] = [Math.floor(rest / 96), rest % 96];
      expect(nhwc[image * 288 + pixel * 3 + channel]).toBe(value);
      expect(half[at]).toBeCloseTo(value, 3);
      expect(asBytes[at]).toBe(Math.round(value * 255));
    });
  });

  it('go on from another first picture, and are made anew in each pass', async () => {
    const model = taking({ name: 'x', dims: ['n', 3, 16, 16] });
    const { images, batches } = await opened(model, { images: 4 });
    const later = await opened(model, { images: 2, first: 2 });
    expect(valuesOf(later.batches[0]!)).toEqual(valuesOf(batches[0]!).slice(2 * 768));
    const again: CalibrationBatch[] = [];
    for await (const batch of images.batches()) again.push(batch);
    expect(again.map(valuesOf)).toEqual(batches.map(valuesOf));
  });

  it('have the size and the channels of the model, and 224 or the option where it leaves them open', async () => {
    const any = taking({ name: 'x', dims: ['n', 3, 'h', 'w'] });
    expect((await opened(any, { images: 1 })).images.dims).toEqual([1, 3, 224, 224]);
    expect((await opened(any, { images: 1, imageSize: 40 })).images.dims).toEqual([1, 3, 40, 40]);
    const grey = await opened(taking({ name: 'x', dims: ['n', 1, 28, 28] }), { images: 2 });
    expect(grey.images.dims).toEqual([2, 1, 28, 28]);
    expect((await opened(taking({ name: 'x', dims: ['n', 20, 24, 5] }), { images: 1 })).images.dims).toEqual([
      1, 20, 24, 5,
    ]);
    expect((await opened(taking({ name: 'x', dims: ['n', 24, 24, 5] }), { images: 1 })).images.dims).toEqual([
      1, 24, 24, 5,
    ]);
    await failureOf('USAGE', () => opened(taking({ name: 'x', dims: ['n', 3, 16, 16] }), { imageSize: 20 }));
  });

  it('are refused for models that take something else', async () => {
    const text = taking({ name: 'ids', type: 'int64', dims: ['n', 128] });
    const two = taking({ name: 'x', dims: ['n', 3, 16, 16] }, { name: 'mask', dims: ['n', 1] });
    const features = taking({ name: 'x', dims: ['n', 64, 7, 7] });
    for (const bytes of [text, two, features]) {
      expect(isImageModel(readModel(bytes))).toBe(false);
      await failureOf('UNSUPPORTED', () => opened(bytes));
    }
    expect(isImageModel(readModel(taking({ name: 'x', dims: ['n', 1, 28, 28] })))).toBe(true);
    await failureOf('USAGE', () => opened(text, { images: 0 }));
    await failureOf('USAGE', () => opened(text, { first: -1 }));
    await failureOf('USAGE', () => opened(text, { normalization: 'other' }));
  });

  it('say in the report what they are', async () => {
    const [model, output] = [join(folder, 'tiny.onnx'), join(folder, 'tiny-lowrank.onnx')];
    writeFileSync(model, tinyClassifier());
    const calibrate = syntheticCalibration({ images: 8, normalization: 'unit' });
    const options = { output, init: 'whitened', rankScale: 0.5, calibrate, verify: false } as const;
    const report = await convert(model, options);
    expect(report.calibration).toMatchObject({
      data: 'synthetic',
      images: 8,
      imageSize: 16,
      normalizationName: 'unit',
      normalizationFrom: 'option',
      badImages: 0,
    });
  });
});

describe.skipIf(!hasShared)('real models on synthetic pictures', () => {
  it.each([
    'cifar10-marabou-medium-tf2onnx1.8-op9-nhwc',
    'cifar10-resnet20-pt1.5-op7-initinputs',
    'mnist-lenet-onnxmltools-op11',
    'obra-cnn28-50cls-pt2.12-op18',
  ])(
    '%s is fitted on them',
    async (name) => {
      const output = join(folder, `${name}.onnx`);
      const calibrate = syntheticCalibration({ images: 32 });
      const report = await convert(join(modelsFolder, `${name}.onnx`), {
        output,
        init: 'whitened',
        rankScale: 0.5,
        calibrate,
        verify: false,
      });
      expect(report.calibration).toMatchObject({ data: 'synthetic', images: 32, normalizationFrom: 'assumed' });
      const errors = report.layers.flatMap((layer) => (layer.action === 'factorized' ? [layer.dataError!] : []));
      expect(errors.length).toBeGreaterThan(0);
      for (const error of errors) expect(error).toBeLessThan(1);
    },
    120_000,
  );
});
