import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ConvertReport } from '../../src/contracts/convert.js';
import type { EvalReport } from '../../src/contracts/eval.js';
import { expectFailure, run, temporaryFolder } from '../support/command.js';
import { hasShared, modelsFolder, sharedFolder } from '../support/shared.js';

const folder = temporaryFolder();
const cifar = join(sharedFolder, 'data/images/cifar10');
const model = join(modelsFolder, 'st-resnetv1-8-cifar10.onnx');
const unit = ['--normalization', 'unit'];

function json(...words: readonly string[]): unknown {
  const { code, stdout, stderr } = run(...words, '--json', '--quiet');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout);
}

function converted(name: string, images: number, ...words: readonly string[]): { path: string; report: ConvertReport } {
  const path = join(folder, `${name}.onnx`);
  const calibrate = ['--calibrate', cifar, '--calibrate-images', String(images), ...unit];
  const report = json('convert', model, '-o', path, '--rank-scale', '0.3', ...calibrate, ...words) as ConvertReport;
  return { path, report };
}

describe.skipIf(!hasShared)('lowrank-convert --calibrate', () => {
  it('keeps far more accuracy than what does not look at images, and says on what', () => {
    const plain = converted('plain', 64, '--init', 'lfai');
    const whitened = converted('whitened', 64, '--init', 'whitened');
    const sequential = converted('lfai-data', 64, '--init', 'lfai-data');
    const about = { data: cifar, images: 64, imageSize: 32, badImages: 0, layers: 8 };
    expect(whitened.report.calibration).toMatchObject(about);
    expect(whitened.report.settings).toMatchObject({ calibrate: cifar, calibrateImages: 64, biasCorrection: true });
    // Measured with any initialization, fitted with these two.
    for (const { report } of [plain, whitened, sequential]) {
      for (const layer of report.layers) {
        if (layer.action === 'factorized') expect(layer.dataError).toBeGreaterThan(0);
        else expect(layer.dataError).toBeUndefined();
      }
    }
    const meanError = ({ report }: typeof plain): number =>
      report.layers.reduce((sum, { dataError }) => sum + (dataError ?? 0), 0);
    expect(meanError(whitened)).toBeLessThan(0.6 * meanError(plain));

    const versus = (path: string, other: string): EvalReport =>
      json('eval', path, '--vs', other, '--data', cifar, ...unit, '--limit', '500') as EvalReport;
    // Statistics of BatchNormalization follow the pairs in all three.
    expect(versus(whitened.path, plain.path).versus!.ci95[0]).toBeGreaterThan(0.15);
    expect(versus(sequential.path, plain.path).versus!.ci95[0]).toBeGreaterThan(0.15);
  }, 600_000);

  it('works with three images, and warns', () => {
    const { report } = converted('three', 3, '--init', 'whitened');
    expect(report.calibration).toMatchObject({ images: 3 });
    expect(report.verify).toMatchObject({ reloaded: true });
    expect(report.warnings).toContainEqual(
      expect.stringMatching(/^too few calibration images for \d+ layers \(.*: \d+ /),
    );
  }, 300_000);

  it('leaves biases alone where it is told to', () => {
    const with0 = converted('bias', 8, '--init', 'whitened');
    const without = converted('no-bias', 8, '--init', 'whitened', '--no-bias-correction');
    const errors = ({ report }: typeof with0): number[] => report.layers.flatMap(({ dataError }) => dataError ?? []);
    errors(without).forEach((error, index) => expect(error).toBeGreaterThanOrEqual(errors(with0)[index]!));
  }, 300_000);

  it('refuses what makes no sense', () => {
    const none = join(folder, 'none.onnx');
    const words = ['convert', model, '-o', none];
    expectFailure(
      run(...words, '--calibrate', 'none', '--init', 'whitened'),
      'USAGE',
      /give --calibrate and a folder of images/,
      2,
    );
    expectFailure(run(...words, '--calibrate', join(folder, 'nowhere')), 'INPUT', /nowhere/);
    mkdirSync(join(folder, 'empty'));
    expectFailure(run(...words, '--calibrate', join(folder, 'empty')), 'INPUT', /the folder is empty/);
    expect(existsSync(none)).toBe(false);
  });

  it('says what does nothing, and goes on', () => {
    const output = join(folder, 'note.onnx');
    const { code, stderr } = run('convert', model, '-o', output, '--calibrate', 'none', '--calibrate-images', '9');
    expect(stderr).toMatch(/--calibrate-images does nothing without --calibrate/);
    expect(code).toBe(0);
    expect(existsSync(output)).toBe(true);
  });
});
