import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import type { ConvertReport } from '../../src/contracts/convert.js';
import type { DataCheckReport, DataPackReport } from '../../src/contracts/data.js';
import type { EvalReport } from '../../src/contracts/eval.js';
import type { StudyReport } from '../../src/contracts/study.js';
import type { TrainReport } from '../../src/contracts/train.js';
import { readModel } from '../../src/graph/read.js';
import { idxFile, idxTree } from '../data/support/idx.js';
import { writeTree } from '../data/support/images.js';
import { expectFailure, report, run, temporaryFolder } from '../support/command.js';
import { hasShared, modelPath, sharedFolder } from '../support/shared.js';
import { tinyClassifier } from '../support/tiny-classifier.js';

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
const [digits, fresh, trained] = [at('digits'), at('fresh.onnx'), at('trained.onnx')];

let training: TrainReport;
beforeAll(() => {
  // Pictures of 12 pixels for a model of 16.
  writeTree(digits, idxTree(100, 30, 12));
  writeFileSync(fresh, tinyClassifier({ channels: 1, classes: 10 }));
  const images = ['--resize', '12', '--mean', '0.13', '--std', '0.3', '--augment', 'pad', '--no-flip'];
  const words = ['--epochs', '4', '--lr', '0.1', '--batch-size', '20'];
  training = report('train', fresh, '-o', trained, '--data', digits, ...images, ...words) as TrainReport;
});

describe('idx files', () => {
  it('are trained on, validated on their test part, on a border of black', () => {
    expect(training.data).toMatchObject({ train: { images: 100, classes: 10 }, val: { images: 30 } });
    expect(training.preparation!.resize).toMatchObject({ rule: 'center-crop', shorterSide: 12, from: 'option' });
    expect(training.preparation!.size).toMatchObject({ width: 16, height: 16 });
    expect(training.written!.valLoss).toBeLessThan(training.start!.valLoss!);
    const { metadata } = readModel(trained);
    expect([metadata.get('lowrank.resize'), metadata.get('lowrank.image_size')]).toEqual(['12', '16']);
  });

  it('are evaluated on their test part, as the metadata say', () => {
    const evaluation = report('eval', trained, '--data', digits) as EvalReport;
    expect(evaluation.top1).toBe(training.written!.valTop1);
    expect(evaluation.preparation!.resize).toMatchObject({ shorterSide: 12, from: 'metadata' });
    const words = ['--data', join(digits, 'train-images-idx3-ubyte.gz')];
    expect((report('eval', trained, ...words) as EvalReport).data.images).toBe(100);
  });

  it('are what layers are fitted to, and what initializations are compared on', () => {
    const words = ['--calibrate', digits, '--init', 'whitened', '--rank-scale', '0.3', '-o', at('small.onnx')];
    const { calibration } = report('convert', trained, ...words) as ConvertReport;
    expect(calibration!.preparation!.resize).toMatchObject({ shorterSide: 12, from: 'metadata' });
    const inits = ['--rank-scale', '0.3', '--inits', 'spectral', '--val', digits];
    expect(report('compare', trained, ...inits)).toMatchObject({ validation: { data: { images: 30 } } });
  });

  it('are checked and packed', () => {
    const check = report('data', 'check', digits, '--split', 'test') as DataCheckReport;
    expect(check).toMatchObject({ format: 'idx', images: 30, kinds: { grey: 30 }, formats: { pixels: 30 }, bad: [] });
    const words = ['--split', 'test', '--format', 'ppm', '-o', at('shards')];
    expect((report('data', 'pack', digits, ...words) as DataPackReport).images).toBe(30);
    expect((report('eval', trained, '--data', at('shards')) as EvalReport).top1).toBe(training.written!.valTop1);
  });

  it('are studied', () => {
    const settings = 'epochs: 1\n  batch-size: 20\n  lr: 0.05\n  mean: "0.13"\n  std: "0.3"\n  augment: none';
    const study = `data: ${digits}\narchitectures: [{model: lenet5-caffe, image-size: 16}]\nrank-scales: [0.3]\ninits: [baseline]\nseeds: 1\nfull-rank: false\ntrain:\n  ${settings}\n`;
    writeFileSync(at('study.yaml'), study);
    const { data, counts } = report('study', at('study.yaml'), '-o', at('study')) as StudyReport;
    expect(counts).toMatchObject({ cells: 1, finished: 1 });
    expect([data.train.images, data.val.images]).toEqual([100, 30]);
  }, 60_000);

  it('are refused in one line where they are damaged', () => {
    const path = writeTree(at('cut'), {
      ...idxTree(20, 10, 12),
      't10k-labels-idx1-ubyte.gz': gzipSync(idxFile([9], [1, 2, 3, 4, 5, 6, 7, 8, 9])),
    });
    expectFailure(run('eval', trained, '--data', path), 'FORMAT', /there are 9 labels for 10 images/);
  });
});

describe.skipIf(!hasShared)('MNIST (../shared/data)', () => {
  it("teaches Caffe's LeNet in a few updates, and a LeNet that learned it elsewhere knows it", () => {
    const slice = (name: string, dims: readonly number[], start: number): Buffer => {
      const bytes = gunzipSync(readFileSync(join(sharedFolder, 'data', 'mnist', `${name}.gz`)));
      return idxFile(dims, bytes.subarray(start, start + dims.reduce((product, dim) => product * dim, 1)));
    };
    const data = writeTree(at('mnist'), {
      'train-images-idx3-ubyte': slice('train-images-idx3-ubyte', [1280, 28, 28], 16),
      'train-labels-idx1-ubyte': slice('train-labels-idx1-ubyte', [1280], 8),
      't10k-images-idx3-ubyte': slice('t10k-images-idx3-ubyte', [200, 28, 28], 16),
      't10k-labels-idx1-ubyte': slice('t10k-labels-idx1-ubyte', [200], 8),
    });
    expect(run('create', 'lenet5-caffe', '-o', at('lenet.onnx')).code).toBe(0);
    const words = ['--epochs', '1', '--batch-size', '32', '--lr', '0.02', '--augment', 'none'];
    const numbers = ['--mean', '0.1307', '--std', '0.3081'];
    const { start, written } = report(
      ...['train', at('lenet.onnx'), '-o', at('learned.onnx'), '--data', data],
      ...words,
      ...numbers,
    ) as TrainReport;
    // 40 updates: 80 % of the 200 are right, at a loss of 0.68; that of chance is 2.3.
    expect([start!.valLoss! > 2.3, written!.valLoss! < 1, written!.valTop1! > 0.7]).toEqual([true, true, true]);
    const evaluation = report('eval', modelPath('mnist-lenet-onnxmltools-op11.onnx'), '--data', data) as EvalReport;
    // 99.2 % are stated for all 10,000.
    expect([evaluation.data.images, evaluation.top1 > 0.97]).toEqual([200, true]);
  });
});
