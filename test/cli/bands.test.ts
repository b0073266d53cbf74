import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import type { AgreementReport } from '../../src/contracts/agreement.js';
import type { CompareReport } from '../../src/contracts/compare.js';
import type { ConvertReport } from '../../src/contracts/convert.js';
import type { EvalReport } from '../../src/contracts/eval.js';
import type { RecoverReport } from '../../src/contracts/recover.js';
import type { TrainReport } from '../../src/contracts/train.js';
import { readModel } from '../../src/graph/read.js';
import { writeTree } from '../data/support/images.js';
import { bytes, floats } from '../data/support/npy.js';
import { tiff } from '../data/support/tiff.js';
import { expectFailure, report, run, temporaryFolder } from '../support/command.js';
import { buildModel, type TestNode } from '../support/models.js';
import { tinyClassifier } from '../support/tiny-classifier.js';

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
const side = 16;
const size = { width: side, height: side };
const pixels = side * side;
const [six, four] = [at('six.onnx'), at('four.onnx')];

/** Interleaved samples on [0, 1] of `channels` bands: class k is brighter in the last but k of them. */
function picture(index: number, channels: number): Float32Array {
  const label = index % 3;
  return Float32Array.from({ length: pixels * channels }, (_, position) => {
    const noise = (Math.imul(position + 1, 2_654_435_761 + 97 * index) >>> 16) / 65_536;
    return 0.7 * noise + (position % channels === channels - 1 - label ? 0.3 : 0);
  });
}

/** Channels first. */
function planes(samples: ArrayLike<number>, channels: number): number[] {
  return Array.from(
    { length: samples.length },
    (_, to) => samples[(to % pixels) * channels + Math.floor(to / pixels)]!,
  );
}

async function file(index: number, channels: number): Promise<{ readonly picture: Buffer; readonly array: Buffer }> {
  const shape = [channels, side, side];
  if (channels === 4) {
    const samples = Uint8Array.from(picture(index, 4), (x) => Math.round(255 * x));
    const png = await sharp(samples, { raw: { ...size, channels: 4 } })
      .png()
      .toBuffer();
    return { picture: png, array: bytes(shape, planes(samples, 4)) };
  }
  const samples = Uint16Array.from(picture(index, channels), (x) => Math.round(65_535 * x));
  return {
    picture: tiff({ ...size, samples }),
    array: floats(
      shape,
      planes(samples.map(Number), channels).map((x) => x / 65_535),
    ),
  };
}

/** The same samples as pictures and as arrays, in parts for training and validation. */
async function writeBoth(name: string, channels: number): Promise<void> {
  const extension = channels === 4 ? 'png' : 'tif';
  for (let index = 0; index < 72; index++) {
    const { picture: shown, array } = await file(index, channels);
    const place = `${index < 48 ? 'train' : 'val'}/${index % 3}/${index}`;
    writeTree(at(name), { [`${place}.${extension}`]: shown });
    writeTree(at(`${name}-arrays`), { [`${place}.npy`]: array });
  }
}

beforeAll(async () => {
  writeFileSync(six, tinyClassifier({ channels: 6 }));
  writeFileSync(four, tinyClassifier({ channels: 4 }));
  await writeBoth('6', 6);
  await writeBoth('4', 4);
});

const plain = ['--augment', 'none', '--batch-size', '12', '--lr', '0.1'];

describe('TIFF of six bands of 16 bits', () => {
  const [data, arrays, trained, small] = [at('6'), at('6-arrays'), at('6t.onnx'), at('6s.onnx')];

  it('is learned from to the very loss that arrays of the same numbers give', () => {
    const words = ['train', six, ...plain, '--epochs', '4'];
    const training = report(...words, '--data', data, '-o', trained) as TrainReport;
    expect(training.preparation!.normalization).toMatchObject({ name: 'unit', from: 'assumed' });
    expect(training.written!.valTop1).toBeGreaterThan(0.9);
    const other = report(...words, '--data', arrays, '-o', at('6a.onnx')) as TrainReport;
    expect(training.written!.valLoss).toBe(other.written!.valLoss);
    expect(readModel(trained).metadata.get('lowrank.normalization')).toBe('unit');
    const pad = ['train', six, '--augment', 'pad', '--batch-size', '12', '--epochs', '1', '--cache-images', '1'];
    const { warnings } = report(...pad, '--data', data, '-o', at('6p.onnx')) as TrainReport;
    expect(warnings.join()).toMatch(/--cache-images keeps color and grey pictures alone: those of 6 channels/);
  });

  it('is evaluated on, fitted to, recalibrated on, compared on and recovered on', () => {
    const [own, same] = [data, arrays].map((path) => report('eval', trained, '--data', path) as EvalReport);
    expect([own!.loss, own!.top1]).toEqual([same!.loss, same!.top1]);
    const words = ['convert', trained, '--init', 'whitened', '--rank-scale', '0.4', '--no-keep-first'];
    const [fitted, other] = [data, arrays].map((path, index) => {
      const out = index === 0 ? small : at('6o.onnx');
      const part = join(path, 'train');
      return report(...words, '--calibrate', part, '--recalibrate', part, '-o', out) as ConvertReport;
    });
    expect(fitted!.calibration!.images).toBe(other!.calibration!.images);
    const errors = ({ layers }: ConvertReport): unknown =>
      layers.map(({ name, dataError, functionError }) => [name, dataError, functionError]);
    expect(errors(fitted!)).toEqual(errors(other!));
    expect(fitted!.layers.some(({ functionError }) => functionError !== null)).toBe(true);
    expect(fitted!.recalibration!.images).toBeGreaterThan(0);
    const match = report('eval', small, '--vs', trained, '--match', '--data', data) as AgreementReport;
    expect(match.images).toBe(24);
    const compare = ['compare', trained, '--data', join(data, 'train'), '--val', data, '--inits', 'spectral,whitened'];
    expect((report(...compare, '--rank-scale', '0.4', '--no-keep-first') as CompareReport).validation!.n).toBe(24);
    const recover = ['train', small, '--teacher', trained, '--data', data, '--steps', '6', '--batch-size', '8'];
    const { start, written } = report(...recover, '--lr', '0.01', '-o', at('6r.onnx')) as RecoverReport;
    expect(written!.loss).toBeLessThanOrEqual(start.loss);
  });

  it('is what is named where there are other pictures, or numbers of three colors', () => {
    const bad = /it has 4 bands where the model takes 6 channels: give TIFF of 6 bands, or arrays \(\.npy\)/;
    const out = ['-o', at('never.onnx')];
    for (const words of [
      ['eval', six, '--data', at('4')],
      ['train', six, '--data', at('4'), ...plain, ...out],
      ['train', six, '--teacher', six, '--data', at('4'), ...out],
      ['convert', six, '--calibrate', at('4/train'), ...out],
    ]) {
      const { code, stderr } = run(...words);
      // A training says first how it takes pictures.
      const errors = stderr.split('\n').filter((line) => line.startsWith('error'));
      expect({ code, errors }).toEqual({ code: 1, errors: [expect.stringMatching(bad)] });
    }
    const colors = ['--normalization', 'imagenet'];
    const message =
      /'imagenet' is of three colors, and the model takes 6 channels; choose one of symmetric, unit, none/;
    expectFailure(run('eval', six, '--data', data, ...colors), 'USAGE', message, 2);
    expectFailure(run('train', six, '--data', data, ...plain, ...colors, ...out), 'USAGE', message, 2);
    expectFailure(run('eval', six, '--data', data, '--mean', '1,2', '--std', '1'), 'USAGE', /channels are 6/, 2);
  });
});

describe('PNG of four channels', () => {
  const numbers = ['--mean', '0.4,0.45,0.5,0.55', '--std', '0.2,0.25,0.3,0.35'];

  it('is red, green, blue and alpha, as arrays of the same bytes are', () => {
    const words = ['train', four, ...plain, ...numbers, '--epochs', '2'];
    const training = report(...words, '--data', at('4'), '-o', at('4t.onnx')) as TrainReport;
    const other = report(...words, '--data', at('4-arrays'), '-o', at('4a.onnx')) as TrainReport;
    expect(training.written!.valLoss).toBe(other.written!.valLoss);
    expect(training.preparation!.normalization).toMatchObject({ mean: [0.4, 0.45, 0.5, 0.55], from: 'option' });
    const told = report('eval', at('4t.onnx'), '--data', at('4')) as EvalReport;
    expect(told.preparation!.normalization).toMatchObject({ mean: [0.4, 0.45, 0.5, 0.55], from: 'metadata' });
    // One run of all, and runs of batches.
    expect(told.loss).toBeCloseTo(training.written!.valLoss!, 6);
  });
});

describe('models that take six channels last', () => {
  const model = (isLast: boolean): Uint8Array => {
    const wave = (length: number): Float32Array => Float32Array.from({ length }, (_, i) => Math.sin(i * i));
    const turned: TestNode = { op: 'Transpose', inputs: ['x'], outputs: ['t'], attributes: { perm: [0, 3, 1, 2] } };
    return buildModel({
      inputs: [{ name: 'x', dims: ['n', ...(isLast ? [side, side, 6] : [6, side, side])] }],
      outputs: [{ name: 'y', dims: ['n', 3] }],
      nodes: [
        ...(isLast ? [turned] : []),
        { op: 'Conv', inputs: [isLast ? 't' : 'x', 'w'], outputs: ['c'], attributes: { kernel_shape: [3, 3] } },
        { op: 'GlobalMaxPool', inputs: ['c'], outputs: ['p'] },
        { op: 'Flatten', inputs: ['p'], outputs: ['f'] },
        { op: 'Gemm', inputs: ['f', 'g'], outputs: ['y'] },
      ],
      initializers: [
        { name: 'w', dims: [8, 6, 3, 3], data: wave(8 * 6 * 9) },
        { name: 'g', dims: [8, 3], data: wave(24) },
      ],
    });
  };

  it('are evaluated on TIFF as those that take them first; training names arrays', () => {
    const losses = [true, false].map((isLast) => {
      writeFileSync(at(`last-${isLast}.onnx`), model(isLast));
      return (report('eval', at(`last-${isLast}.onnx`), '--data', at('6')) as EvalReport).loss;
    });
    expect(losses[0]).toBeCloseTo(losses[1]!, 6);
    const train = run('train', at('last-true.onnx'), '--data', at('6'), ...plain, '-o', at('never.onnx'));
    expectFailure(train, 'UNSUPPORTED', /\[16, 16, 6\], and training takes channels last only .*give arrays \(\.npy\)/);
  });
});
