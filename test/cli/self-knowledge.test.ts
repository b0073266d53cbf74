import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { create } from '../../models/index.js';
import { readModel } from '../../src/graph/read.js';
import type { EvalReport } from '../../src/contracts/eval.js';
import type { TrainReport } from '../../src/contracts/train.js';
import type { ArtifactsManifest } from '../../src/contracts/artifacts.js';
import { convertReport, type Outcome, run, temporaryFolder } from '../support/command.js';
import { hasShared, modelPath, sharedFolder } from '../support/shared.js';
import { textures, tinyClassifier, writeTextures } from '../support/tiny-classifier.js';

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
const [photos, fresh, trained, small] = [at('photos'), at('fresh.onnx'), at('trained.onnx'), at('small.onnx')];

function metadataOf(path: string): Record<string, string> {
  const model = readModel(path);
  model.file?.close();
  return Object.fromEntries([...model.metadata].filter(([key]) => key !== 'lowrank.layers'));
}

function succeed(...words: readonly string[]): Outcome {
  const outcome = run(...words);
  expect(outcome.code, outcome.stderr).toBe(0);
  return outcome;
}

const learned = {
  'lowrank.normalization': 'symmetric',
  'lowrank.image_size': '16',
  'lowrank.resize': '18',
  'lowrank.interpolation': 'bicubic',
  'lowrank.classes': JSON.stringify(textures),
};
const said =
  "images: normalization symmetric (from the model's metadata); 16x16 (from its graph); shorter side to 18, then the center, bicubic (from the model's metadata)";

/** Quick, and the same again. */
const pairs = ['--rank-scale', '0.5', '--threads', '1', '--no-verify'];

let training: { readonly report: TrainReport; readonly stderr: string };
beforeAll(async () => {
  await writeTextures(join(photos, 'train'), 4, 1);
  await writeTextures(join(photos, 'val'), 2, 2);
  writeFileSync(fresh, tinyClassifier());
  const { stdout, stderr } = succeed(
    ...['train', fresh, '-o', trained, '--data', photos, '--epochs', '1', '--batch-size', '6', '--json'],
    ...['--normalization', 'symmetric', '--resize', '18', '--interpolation', 'bicubic', '--cache', '1'],
  );
  training = { report: JSON.parse(stdout) as TrainReport, stderr };
  convertReport(trained, '-o', small, '--data', join(photos, 'train'), ...pairs);
}, 60_000);

describe('a trained model', () => {
  it('says how it was shown images, and what its classes are', () => {
    expect(metadataOf(trained)).toEqual(learned);
    expect(training.report.preparation).toMatchObject({
      normalization: { name: 'symmetric', from: 'option' },
      size: { width: 16, from: 'graph' },
      resize: { shorterSide: 18, interpolation: 'bicubic', from: 'option' },
      classes: { count: 3, from: 'images' },
    });
    expect(training.stderr).toContain('images: normalization symmetric (as given); 16x16 (from its graph); shorter');
  });

  it('is evaluated as it says, in one line and in the report', () => {
    const { stdout, stderr } = succeed('eval', trained, '--data', photos, '--json');
    expect(stderr).toBe(`${said}; 3 classes in the order of the model's metadata\n`);
    const report = JSON.parse(stdout) as EvalReport;
    expect(report.preparation!.normalization).toMatchObject({ name: 'symmetric', from: 'metadata' });
    expect(report.settings).toMatchObject({ normalization: 'symmetric', resize: 18, interpolation: 'bicubic' });
    expect(report.top1).toBe(training.report.epochs[0]!.valTop1);
    const quiet = succeed('eval', trained, '--data', photos, '--quiet');
    expect(quiet.stderr).toBe('');
    expect(quiet.stdout).toMatch(/as inputs +normalization symmetric \(from the model's metadata\)/);
  });

  it('is trained on as it says', () => {
    const { stdout, stderr } = succeed('train', trained, '--data', photos, '--batch-size', '6', '--explain', '--json');
    expect(stderr).toBe('');
    const { settings, choices } = JSON.parse(stdout) as {
      settings: Record<string, unknown>;
      choices: { name: string; isDefault: boolean; why: string }[];
    };
    expect(settings).toMatchObject({
      normalization: 'symmetric',
      resize: 18,
      stretch: false,
      interpolation: 'bicubic',
    });
    expect(choices[0]).toMatchObject({ name: 'images', isDefault: true });
    expect(choices[0]!.why).toContain("symmetric (from the model's metadata)");
  });

  it('is in the manifest of its artifacts', () => {
    const { stdout } = succeed('artifacts', trained, '-o', at('step'), '--json');
    const manifest = JSON.parse(readFileSync(join(at('step'), 'manifest.json'), 'utf8')) as ArtifactsManifest;
    expect(JSON.parse(stdout)).toEqual(manifest);
    expect(manifest.preparation).toMatchObject({
      normalization: { mean: [0.5, 0.5, 0.5], deviation: [0.5, 0.5, 0.5], from: 'metadata' },
      resize: { shorterSide: 18, from: 'metadata' },
    });
    expect(manifest.classNames).toEqual({ ids: textures, titles: textures });
    const list = at('list.txt');
    writeFileSync(list, 'n1\tone\nn2\ttwo\n');
    expect(run('artifacts', trained, '-o', at('other'), '--classes', list).stderr).toMatch(
      /INPUT.*2 classes.*3 outputs/,
    );
  });
});

describe('a converted model', () => {
  it('says what the conversion knew of the images, and keeps the rest', () => {
    expect(metadataOf(small)).toEqual(learned);
    const words = [...pairs, '--data', join(photos, 'train'), '--normalization', 'unit'];
    const report = convertReport(fresh, '-o', at('unit.onnx'), ...words);
    expect(metadataOf(at('unit.onnx'))).toEqual({ 'lowrank.normalization': 'unit', 'lowrank.image_size': '16' });
    expect(report.calibration!.preparation!.normalization).toMatchObject({ name: 'unit', from: 'option' });
  });

  it('says nothing that was only assumed, which the report says', () => {
    const { stdout } = succeed('convert', fresh, '-o', at('assumed.onnx'), ...pairs, '--calibrate-images', '8');
    expect(stdout.replaceAll(/\s+/g, ' ')).toMatch(
      /images normalization imagenet \(only assumed: nothing in the model/,
    );
    expect(metadataOf(at('assumed.onnx'))).toEqual({ 'lowrank.image_size': '16' });
  });
});

describe.skipIf(!hasShared)('a model that only BatchNormalization tells of', () => {
  it('says it when the layers before that were converted, with images or without', () => {
    const output = at('resnet8.onnx');
    const model = modelPath('st-resnetv1-8-cifar10.onnx');
    const report = convertReport(model, '-o', output, '--calibrate', 'none', '--no-verify');
    expect(report.preparation!.normalization).toMatchObject({ name: 'unit', from: 'batch-normalization' });
    expect(metadataOf(output)).toMatchObject({
      'lowrank.normalization': 'unit',
      'lowrank.normalization_from': 'batch-normalization',
    });
    const cifar = join(sharedFolder, 'data/images/cifar10');
    const { stderr } = succeed('eval', output, '--vs', model, '--data', cifar, '--limit', '10');
    expect(stderr).toMatch(
      /^images: normalization unit \(from its BatchNormalization\); 32x32 \(from its graph\); .*\n$/,
    );
  });
});

describe('a created model', () => {
  it.each([
    ['resnet18', { imageSize: 96 }, { normalization: 'imagenet', image_size: '96', resize: '110' }],
    ['resnet8_cifar', {}, { normalization: 'cifar10', image_size: '32', resize: '32' }],
    ['resnet8_cifar', { inChannels: 4 }, { image_size: '32', resize: '32' }],
    ['lenet5', {}, { image_size: '28', resize: '28' }],
  ])('%s, %j, says how its images are', (name, options, expected) => {
    const { metadata } = create(name, options);
    const facts = [...metadata].filter(([key]) => key !== 'lowrank.create');
    expect(Object.fromEntries(facts)).toEqual(
      Object.fromEntries(Object.entries(expected).map(([key, value]) => [`lowrank.${key}`, value])),
    );
  });
});

describe('names of options', () => {
  it('go on working after they changed, which is said once', () => {
    expect(training.stderr.match(/--cache is called --cache-images now, and goes on working\n/g)).toHaveLength(1);
    const words = ['--sensitivity', '--calibrate', join(photos, 'val'), '--calibrate-images', '6', '--json'];
    expect(succeed('inspect', small, ...words).stderr).toBe('--calibrate is called --data now, and goes on working\n');
    const config = at('old.yaml');
    writeFileSync(config, `calibrate: ${join(photos, 'val')}\nsensitivity: true\ncalibrate-images: 6\n`);
    expect(succeed('inspect', small, '--config', config, '--json').stderr).toBe(
      "key 'calibrate' is called 'data' now, and goes on working\n",
    );
  });

  it('are one where they mean one', () => {
    const words = [trained, '-o', at('again.onnx'), '--calibrate', join(photos, 'train')];
    const report = convertReport(...words, ...pairs);
    expect(report.settings).toMatchObject({ calibrate: join(photos, 'train') });
    expect(readFileSync(at('again.onnx')).equals(readFileSync(small))).toBe(true);
    expect(run('convert', fresh, '--data', 'a', '--calibrate', 'b').stderr).toBe(
      'error[USAGE]: --data and --calibrate are one option, given twice; keep one of the two\n',
    );
    writeFileSync(at('twice.yaml'), 'data: a\ncalibrate: b\n');
    expect(run('convert', fresh, '--config', at('twice.yaml')).stderr).toMatch(/'calibrate' is set twice; key 'calib/);
  });
});
