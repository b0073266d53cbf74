import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { EvalReport } from '../../src/contracts/eval.js';
import { expectFailure, run, temporaryFolder } from '../support/command.js';
import { hasShared, modelsFolder, sharedFolder } from '../support/shared.js';

const folder = temporaryFolder();
const images = join(sharedFolder, 'data/images');
const model = (name: string): string => join(modelsFolder, `${name}.onnx`);

function evaluate(...words: readonly string[]): EvalReport {
  const { code, stdout, stderr } = run('eval', ...words, '--json', '--quiet');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout) as EvalReport;
}

describe.skipIf(!hasShared)('lowrank-eval on real models and images', () => {
  // What the models' documentation says, and what onnxruntime in Python makes of the same files, decoded by Pillow.
  it.each([
    ['st-resnetv1-8-cifar10', 'unit', 0.758, 0.751, 0.75145],
    ['cifar10-resnet20-pt1.6-op9-bn', 'cifar10', 0.822, 0.81, 0.72505],
  ])('%s: the accuracy that is known', (name, normalization, stated, top1, loss) => {
    const report = evaluate(model(name), '--data', join(images, 'cifar10'), '--normalization', normalization);
    expect(report).toMatchObject({ schema: 'lowrank.eval/1', n: 1000, settings: { resize: 32, split: null } });
    expect(report.ci95[0]).toBeLessThan(stated);
    expect(report.ci95[1]).toBeGreaterThan(stated);
    // A label may flip where two logits are equal to float32's rounding; 1e-4 of the loss likewise.
    expect(Math.abs(report.top1 - top1)).toBeLessThanOrEqual(0.001);
    expect(Math.abs(report.loss - loss)).toBeLessThan(1e-3);
  });

  it('stretches whole images for a model that was trained so', () => {
    const words = [model('st-efficientnet-lc-flowers5'), '--data', join(images, 'flowers'), '--normalization', 'unit'];
    const report = evaluate(...words, '--stretch');
    // Stated of 430 images: 92.1 %; Python's onnxruntime on Pillow's pixels of the 300 here: 92.33 %, cropped 88.67 %.
    expect(report.ci95[0]).toBeLessThan(0.921);
    expect(report.ci95[1]).toBeGreaterThan(0.921);
    expect(Math.abs(report.top1 - 0.92333)).toBeLessThanOrEqual(1 / 300 + 1e-4);
    expect(report.settings).toMatchObject({ stretch: true, resize: null, imageSize: 224 });
    expectFailure(run('eval', ...words, '--stretch', '--resize', '256'), 'USAGE', /contradict each other/, 2);
  });

  it('compares two models, as a table and as a page', () => {
    const page = join(folder, 'eval.html');
    const outcome = run(
      'eval',
      model('st-resnetv1-8-cifar10'),
      ...['--vs', model('cifar10-marabou-medium-tf2onnx1.8-op9-nhwc'), '--data', join(images, 'cifar10')],
      ...['--normalization', 'unit', '--limit', '200', '--report', page],
    );
    expect(outcome.code).toBe(0);
    expect(outcome.stdout).toMatch(/top-1 +\d\d\.\d % +\(95 %: .*versus .*difference .* points \(95 %/s);
    expect(outcome.stdout).toContain('200 images of 10 classes');
    expect(readFileSync(page, 'utf8')).toContain('Exact McNemar test');
    const again = run('eval', model('st-resnetv1-8-cifar10'), '--data', join(images, 'cifar10'), '--report', page);
    expectFailure(again, 'OUTPUT', /eval\.html/);
  });

  it('runs quantized models', () => {
    const report = evaluate(
      model('refuse/cifar10-resnet8-qdq-op13'),
      ...['--data', join(images, 'cifar10'), '--normalization', 'imagenet', '--limit', '50'],
    );
    expect(report.n).toBe(50);
  });

  it('needs the class list of a model of more classes than the images have', () => {
    const words = ['eval', model('mobilenetv2-imagenet-fp32-int8fc'), '--data', join(images, 'imagenette-160')];
    expectFailure(
      run(...words, '--limit', '4'),
      'INPUT',
      /the images have 10 classes and the model 1000 outputs.*list the classes of .* with --classes/,
    );
    const report = evaluate(...words.slice(1), '--limit', '16', '--classes', join(images, 'LOC_synset_mapping.txt'));
    expect(report.perClass).toHaveLength(1000);
    expect(report.top5).toBeGreaterThanOrEqual(report.top1);
    // 84 % are stated for ImageNet pictures of this model's 1000 classes: of 16, fewer than 4 right is a broken order.
    expect(report.top1).toBeGreaterThan(0.25);
  });

  it('refuses what is wrong in one line', () => {
    const cifar = ['--data', join(images, 'cifar10')];
    expectFailure(run('eval', model('st-resnetv1-8-cifar10'), '--data', folder), 'INPUT', /holds no class folders/);
    expectFailure(run('eval', model('st-resnetv1-8-cifar10')), 'USAGE', /'--data' is missing/, 2);
    const page = model('refuse/html-page-saved-as-mobilenet_v2');
    expectFailure(run('eval', page, ...cifar), 'FORMAT', /it is a web page/);
    const words = ['eval', model('st-resnetv1-8-cifar10'), ...cifar, '--mean', '0.5,x', '--limit', '1'];
    expectFailure(run(...words), 'USAGE', /--mean is '0\.5,x'/, 2);
  });
});
