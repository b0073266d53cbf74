import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import type { AgreementReport } from '../../src/contracts/agreement.js';
import type { ConvertReport } from '../../src/contracts/convert.js';
import type { EvalReport } from '../../src/contracts/eval.js';
import type { RecoverReport } from '../../src/contracts/recover.js';
import type { TrainReport } from '../../src/contracts/train.js';
import { readModel } from '../../src/graph/read.js';
import { syntheticCalibration } from '../../src/images/synthetic.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { expectFailure, report, run, temporaryFolder } from '../support/command.js';
import { hasShared, modelPath } from '../support/shared.js';
import { tinyClassifier, writeTextures } from '../support/tiny-classifier.js';

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
const data = at('photos');
const [fresh, trained, small] = [at('fresh.onnx'), at('trained.onnx'), at('small.onnx')];
const numbers = ['--mean', '0.5', '--std', '0.25'];
const own = { name: null, mean: [0.5], deviation: [0.25] };

let training: TrainReport;
beforeAll(async () => {
  await writeTextures(join(data, 'train'), 24, 1);
  await writeTextures(join(data, 'val'), 8, 2);
  // A grey file among those of colors.
  const file = join(data, 'train', 'across', '0.png');
  await sharp(await sharp(file).greyscale().png().toBuffer()).toFile(file);
  writeFileSync(fresh, tinyClassifier({ channels: 1 }));
  const words = ['--epochs', '3', '--lr', '0.1', '--batch-size', '12', '--augment', 'pad'];
  training = report('train', fresh, '-o', trained, '--data', data, ...numbers, ...words) as TrainReport;
});

describe('a model of grey pictures', () => {
  it('is trained on files of colors and of grey, and says how it takes them', () => {
    expect(training.preparation!.normalization).toEqual({ ...own, from: 'option' });
    expect(training.written!.valTop1).toBeGreaterThan(0.6);
    expect(readModel(trained).metadata.get('lowrank.normalization')).toBe('{"mean":[0.5],"std":[0.25]}');
  });

  it('is evaluated as its metadata say', () => {
    const evaluation = report('eval', trained, '--data', data, '--vs', fresh) as EvalReport;
    expect(evaluation.preparation!.normalization).toEqual({ ...own, from: 'metadata' });
    expect(evaluation.top1).toBe(training.written!.valTop1);
    expect(evaluation.versus).not.toBeNull();
    const unit = report('eval', trained, '--data', data, '--normalization', 'unit') as EvalReport;
    expect(unit.preparation!.normalization).toEqual({ name: 'unit', mean: [0], deviation: [1], from: 'option' });
    const assumed = report('eval', fresh, '--data', data) as EvalReport;
    expect(assumed.preparation!.normalization).toEqual({ ...unit.preparation!.normalization, from: 'assumed' });
    expect(assumed.normalizationTrial!.results.map(({ name }) => name)).toEqual(['symmetric', 'unit', 'none']);
  });

  it('is converted with images, recovered towards its original, and compared with it', () => {
    const calibrated = ['--calibrate', data, '--recalibrate', data, '--rank-scale', '0.3'];
    const converted = report('convert', trained, '-o', small, ...calibrated) as ConvertReport;
    expect(converted.calibration!.preparation!.normalization).toEqual({ ...own, from: 'metadata' });
    expect(converted.recalibration!.layers).toBeGreaterThan(0);
    const steps = ['--steps', '20', '--batch-size', '8', '--lr', '0.003'];
    const words = ['--teacher', trained, '-o', at('recovered.onnx'), '--data', data, ...steps];
    const recovered = report('train', small, ...words) as RecoverReport;
    expect(recovered.preparation!.normalization).toEqual({ ...own, from: 'metadata' });
    expect(recovered.written!.loss).toBeLessThan(recovered.start.loss);
    expect(readModel(at('recovered.onnx')).metadata.get('lowrank.normalization')).toBe('{"mean":[0.5],"std":[0.25]}');
    const both = ['--vs', trained, '--match', '--data', data];
    const agreement = report('eval', at('recovered.onnx'), ...both) as AgreementReport;
    expect(agreement.preparation.normalization.mean).toEqual([0.5]);
    expect(agreement.images).toBe(24);
  }, 60_000);

  it('is compared and searched like any other, and its step is published', () => {
    const words = ['--rank-scale', '0.3', '--inits', 'spectral', '--val', data];
    expect(
      (report('compare', trained, ...words) as { validation: { preparation: unknown } }).validation.preparation,
    ).toMatchObject({
      normalization: { ...own, from: 'metadata' },
    });
    const budget = ['--val', data, '--accuracy-budget', '30', '--calibrate', 'none'];
    const searched = report('convert', trained, '-o', at('searched.onnx'), ...budget) as ConvertReport;
    expect(searched.accuracyBudget!.preparation!.normalization.mean).toEqual([0.5]);
    const manifest = report('artifacts', trained, '-o', at('step')) as { preparation: unknown; imageShape: unknown };
    expect(manifest).toMatchObject({ imageShape: [1, 16, 16], preparation: { normalization: own } });
  }, 60_000);

  it('has as many numbers as channels, or one for all', () => {
    const evaluate = (model: string, ...words: string[]) => run('eval', model, '--data', data, ...words);
    const three = ['--mean', '0.5,0.5,0.5', '--std', '0.2,0.2,0.2'];
    expectFailure(
      evaluate(trained, ...three),
      'USAGE',
      /--mean has 3 numbers where the pictures are grey; .*one number/,
      2,
    );
    const train = ['train', trained, '-o', at('none.onnx'), '--data', data];
    expectFailure(run(...train, ...three), 'USAGE', /--mean has 3 numbers where the pictures are grey/, 2);
    const colors = ['--normalization', 'imagenet'];
    const message =
      /'imagenet' is of three colors, .*grey pictures; choose one of symmetric, unit, none, or give --mean/;
    expectFailure(evaluate(trained, ...colors), 'USAGE', message, 2);
    expectFailure(run(...train, ...colors), 'USAGE', message, 2);
    expectFailure(evaluate(trained, '--mean', '0.5,0.5', '--std', '1'), 'USAGE', /--mean has 2 numbers/, 2);
    writeFileSync(at('colors.onnx'), tinyClassifier());
    const { preparation } = JSON.parse(evaluate(at('colors.onnx'), ...numbers, '--json').stdout) as EvalReport;
    expect(preparation!.normalization).toMatchObject({ mean: [0.5, 0.5, 0.5], deviation: [0.25, 0.25, 0.25] });
  });

  it('is shown synthetic pictures that are grey, in its normalization', async () => {
    const model = readModel(readFileSync(trained));
    const context = { path: 'trained.onnx', driver: await loadDriver(), session: {}, signal: undefined };
    const images = await syntheticCalibration({ images: 2, towardClasses: null })(model, 2, context);
    try {
      expect(images.dims).toEqual([2, 1, 16, 16]);
      expect(images.summary().normalization).toEqual({ mean: [0.5], deviation: [0.25] });
      for await (const { feeds } of images.batches()) {
        const values = [...(feeds['x']!.data as Float32Array)];
        expect(values).toHaveLength(512);
        expect(new Set(values).size).toBeGreaterThan(50);
        expect(values.every((value) => value >= -2 && value <= 2)).toBe(true);
      }
    } finally {
      await images.close();
    }
  });
});

describe('other numbers of channels', () => {
  it('are refused where files are of colors or grey, in one line', () => {
    const path = at('2.onnx');
    writeFileSync(path, tinyClassifier({ channels: 2 }));
    const line = /it has [13] bands? where the model takes 2 channels: give TIFF of 2 bands, or arrays \(\.npy\)/;
    const { code, stderr } = run('eval', path, '--data', data);
    expect([code, stderr]).toEqual([1, expect.stringMatching(line)]);
    expectFailure(run('convert', path, '-o', at('none.onnx'), '--calibrate', data), 'INPUT', line);
  });

  it('of more than 16 are no pictures', () => {
    const path = at('17.onnx');
    writeFileSync(path, tinyClassifier({ channels: 17 }));
    const line = /17, 16, 16.*channels.*give arrays \(\.npy\) of \[17, 16, 16\].*of 1 to 16 channels/;
    expectFailure(run('eval', path, '--data', data), 'UNSUPPORTED', line);
    expectFailure(run('train', path, '-o', at('none.onnx'), '--data', data), 'UNSUPPORTED', line);
    expectFailure(run('convert', path, '-o', at('none.onnx'), '--calibrate', data), 'UNSUPPORTED', line);
  });
});

describe.skipIf(!hasShared)('a LeNet of MNIST (../shared/data)', () => {
  it('is right on digits that are drawn as it learned them', async () => {
    const read = (name: string, header: number): Uint8Array =>
      gunzipSync(readFileSync(join(modelPath('..'), 'mnist', name))).subarray(header);
    const [pixels, labels] = [read('t10k-images-idx3-ubyte.gz', 16), read('t10k-labels-idx1-ubyte.gz', 8)];
    for (let i = 0; i < 100; i++) {
      const digit = at(`digits/${labels[i]}`);
      mkdirSync(digit, { recursive: true });
      const raw = { width: 28, height: 28, channels: 1 } as const;
      await sharp(pixels.subarray(i * 784, (i + 1) * 784), { raw })
        .png()
        .toFile(join(digit, `${i}.png`));
    }
    const evaluation = report(
      'eval',
      modelPath('mnist-lenet-onnxmltools-op11.onnx'),
      '--data',
      at('digits'),
    ) as EvalReport;
    expect(evaluation.preparation!.normalization).toMatchObject({ name: 'unit', from: 'assumed' });
    // 99.2 % are stated for all 10,000 digits: below 91 of 100 something is wrong.
    expect(evaluation.top1).toBeGreaterThan(0.9);
  });
});
