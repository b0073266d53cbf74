import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { initNames, inits as registry } from '../../src/factorize/inits/index.js';
import type { CompareReport } from '../../src/contracts/compare.js';
import type { ConvertReport } from '../../src/contracts/convert.js';
import type { EvalReport } from '../../src/contracts/eval.js';
import { expectFailure, run, temporaryFolder } from '../support/command.js';
import { differences } from '../support/describe-json.js';
import { faultOf } from '../support/schemas.js';
import { hasShared, modelPath } from '../support/shared.js';
import { textures, tinyClassifier, writeTextures } from '../support/tiny-classifier.js';

const folder = temporaryFolder();
const model = join(folder, 'tiny.onnx');
const images = join(folder, 'images');
const unit = ['--normalization', 'unit'];

beforeAll(async () => {
  writeFileSync(model, tinyClassifier());
  await writeTextures(join(images, 'val'), 6, 1);
});

function json(...words: readonly string[]): unknown {
  const { code, stdout, stderr } = run(...words, '--json', '--quiet');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout) as unknown;
}

const compared = (...words: readonly string[]): CompareReport => json('compare', ...words) as CompareReport;
const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

const change = { before: 'count', after: 'count' };
const ratio = { ...change, ratio: 'number' };
const accuracy = { top1: 'number', ci95: 'list', top5: 'number|null', loss: 'number' };
const fit = { weightError: 'number', functionError: 'number', seconds: 'number' };

describe('--recover', () => {
  const few = ['--recover', images, '--recover-steps', '6', ...unit];

  beforeAll(() => writeTextures(join(images, 'train'), 12, 2));

  it('trains what each initialization made towards the original, and says what was kept before and behind it', () => {
    const page = join(folder, 'recovered.html');
    const entries = new Set([...readdirSync(folder), 'recovered.html']);
    const words = [model, ...few, '--val', images, '--rank-scale', '0.2', '--inits', 'spectral,baseline'];
    const report = compared(...words, '--report', page);
    expect(faultOf(report)).toBe(undefined);
    expect(report.settings).toMatchObject({ recover: images, recoverSteps: 6, calibrate: images });
    // A sixth of the training pictures is kept out; those of the validation are not seen.
    expect(report.recovery!.data).toMatchObject({ images: 30, heldOut: { images: 6, from: 'data' } });
    expect(report.seconds.recover).toBeGreaterThan(0);
    const [spectral, baseline] = report.inits.map(({ recovery }) => recovery!);
    expect(spectral!.start.loss).toBeLessThan(baseline!.start.loss);
    for (const { start, written, accuracy: top } of [spectral!, baseline!]) {
      expect(written.loss).toBeLessThanOrEqual(start.loss);
      expect(top!.top1).toBeGreaterThanOrEqual(0);
    }
    expect(baseline!.written.step).toBeGreaterThan(0);
    expect([spectral!.versusFirst, typeof baseline!.versusFirst!.difference]).toEqual([null, 'number']);
    expect(report.warnings.join()).not.toContain('is the teacher the model');
    expect(readFileSync(page, 'utf8')).toContain(`Recovered: 6 updates each on 30 pictures, judged by 6 others`);
    expect(new Set(readdirSync(folder))).toEqual(entries);
    expect(readdirSync(tmpdir()).filter((name) => name.startsWith('lowrank-compare-'))).toEqual([]);
  });

  it('shows it as text, with what fits to these images among the initializations', () => {
    const { stdout, code } = run('compare', model, ...few, '--rank-scale', '0.2', '--inits', 'whitened', '--quiet');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^whitened .*[\d.]+ → [\d.]+ % +[\d.]+ → [\d.]+$/m);
    expect(stdout).toMatch(/Behind its recovery whitened is closest to the original: loss [\d.]+, agreement/);
    expect(stdout).toMatch(/^time .*recover [\d.]+ s\); nothing was written$/m);
  });

  it('is refused where it means nothing', () => {
    const alone = run('compare', model, '--recover-steps', '9', '--quiet');
    expectFailure(alone, 'USAGE', /--recover-steps does nothing without --recover/, 2);
    const fresh = run('compare', model, ...few, '--reinit', '--quiet');
    expectFailure(fresh, 'USAGE', /--reinit and --recover contradict each other/, 2);
    const page = join(images, 'train/page.html');
    expectFailure(run('compare', model, ...few, '--report', page, '--quiet'), 'USAGE', /lies in .*recover/, 2);
  });
});

describe('lowrank-compare', () => {
  it('prints one document of the contract, and touches nothing', () => {
    const [before, entries] = [sha256(model), readdirSync(folder)];
    const inits = ['lfai', 'spectral', 'baseline'];
    const report = compared(model, '--inits', 'lfai,spectral', '--inits', 'baseline', '--val', images, ...unit);
    expect(sha256(model)).toBe(before);
    expect(readdirSync(folder)).toEqual(entries);
    const kept = report.layers.filter(({ action }) => action === 'kept');
    expect(report.layers.length - kept.length).toBe(4);
    for (const layer of kept) expect(layer).toMatchObject({ fits: {}, theorem: null, rank: null, scheme: null });
    const layer = {
      name: 'string',
      label: 'string',
      op: 'string',
      kernel: 'list',
      group: 'count',
      in: 'count',
      out: 'count',
      activation: 'string',
      action: '=factorized',
      reason: 'string',
      scheme: 'string',
      rank: 'count',
      maxRank: 'count',
      breakEvenRank: 'count',
      params: change,
      macs: change,
      fits: { lfai: fit, spectral: fit, baseline: fit },
      theorem: { dimension: 'count', bound: 'number', reason: 'null', gap: 'number', scale: 'number' },
    };
    const { settings, layers, ...others } = report;
    expect(
      differences(
        layers.filter(({ action }) => action === 'factorized'),
        [layer],
      ),
    ).toEqual([]);
    expect(
      differences(others, {
        schema: '=lowrank.compare/1',
        tool: { name: '=lowrank', version: 'string' },
        command: 'string',
        seed: 'count',
        model: {
          path: 'string',
          sha256: 'string',
          producer: 'string',
          irVersion: 'count',
          opset: 'count',
          inputShape: 'list',
        },
        engine: { name: '=ort', package: 'string', version: 'string', backend: 'string', device: 'string' },
        inits: 'list',
        leftOut: 'list',
        totals: { params: ratio, macs: ratio },
        validation: {
          data: { path: 'string', images: 'count', classes: 'count' },
          n: 'count',
          original: accuracy,
          badImages: { count: 'count', names: 'list' },
          preparation: {
            normalization: { name: '=unit', mean: 'list', deviation: 'list', from: '=option' },
            size: { width: 'count', height: 'count', from: '=graph' },
            resize: { rule: '=center-crop', shorterSide: 'count', interpolation: '=bilinear', from: '=assumed' },
            classes: { count: 'count', from: '=images' },
          },
        },
        warnings: 'list',
        seconds: { prepare: 'number', fit: 'number', evaluate: 'number', total: 'number' },
      }),
    ).toEqual([]);
    const init = {
      name: 'string',
      summary: 'string',
      failure: 'null',
      weightError: 'number',
      functionError: 'number',
      lowestIn: 'count',
      seconds: 'number',
      accuracy,
    };
    const discordant = { onlyFirst: 'count', onlySecond: 'count' };
    const versusFirst = { difference: 'number', ci95: 'list', discordant, pValue: 'number' };
    const [reference, ...rest] = report.inits;
    expect(differences(reference, { ...init, versusFirst: 'null' })).toEqual([]);
    expect(differences(rest, [{ ...init, versusFirst }])).toEqual([]);
    expect(report.inits.map(({ name }) => name)).toEqual(inits);
    expect(settings).toMatchObject({ inits, rankScale: 0.25, val: images, normalization: 'unit', seed: 0 });
    expect(report.validation).toMatchObject({ n: 18, data: { images: 18, classes: 3 } });
  });

  it('gives the same numbers for the same seed, and others for another', () => {
    const numbers = (...words: readonly string[]): unknown =>
      compared(model, ...words).layers.map(({ fits }) =>
        Object.values(fits).map(({ weightError, functionError }) => [weightError, functionError]),
      );
    const first = numbers('--inits', 'baseline,lfai', '--seed', '3');
    expect(numbers('--inits', 'baseline,lfai', '--seed', '3', '--threads', '1')).toEqual(first);
    expect(numbers('--inits', 'baseline,lfai', '--seed', '4')).not.toEqual(first);
  });

  it('says in the table what the document says, and writes a page', () => {
    const page = join(folder, 'compare.html');
    const { code, stdout } = run('compare', model, '--rank-scale', '0.5', '--report', page);
    expect(code).toBe(0);
    for (const name of initNames) {
      const { isSampled, needs } = registry[name];
      if (isSampled || needs !== undefined) expect(stdout).toMatch(new RegExp(`left out +${name}: `));
      else expect(stdout).toMatch(new RegExp(`^${name} +[01][.]`, 'm'));
    }
    expect(stdout).toMatch(/theorem 3\.5 +bound: .*4 of 4/s);
    expect(stdout).toMatch(/nothing was written/);
    expect(readFileSync(page, 'utf8')).toContain('What the theorem promises');
    expectFailure(run('compare', model, '--report', page), 'OUTPUT', /compare\.html/);
    expect(run('compare', model, '--inits', 'spectral', '--report', page, '--force').code).toBe(0);
  });

  it('measures the error on images with --calibrate, and compares what fits to them', () => {
    const words = [model, '--data', join(images, 'val'), '--calibrate-images', '12', ...unit];
    const report = compared(...words, '--rank-scale', '0.5');
    expect(report.calibration).toMatchObject({ images: 12, imageSize: 16, layers: 4 });
    expect(report.inits.map(({ name }) => name)).toEqual(initNames.filter((name) => registry[name].isSampled !== true));
    for (const { fits } of report.layers.filter(({ action }) => action === 'factorized')) {
      const errors = Object.values(fits).map(({ dataError }) => dataError!);
      // What random factors give has nothing to do with the layer; all others are nearer, also behind the activation.
      for (const [name, { dataFunctionError }] of Object.entries(fits)) {
        expect(dataFunctionError!).toBeGreaterThan(0);
        if (name !== 'baseline') expect(dataFunctionError!).toBeLessThan(fits['baseline']!.dataFunctionError!);
      }
      // Reduced-rank regression minimizes this very error; it regularizes, and pairs are float32.
      expect(fits['whitened']!.dataError).toBeLessThanOrEqual(Math.min(...errors) * 1.01 + 1e-6);
    }
    // At full rank nothing is lost, on images either.
    const full = compared(...words, '--rank-scale', '1', '--allow-bigger', '--inits', 'spectral,whitened');
    for (const { fits } of full.layers.filter(({ action }) => action === 'factorized')) {
      for (const fitted of Object.values(fits)) {
        // Factors in float32, products of 72 numbers.
        expect(fitted.dataFunctionError).toBeLessThan(1e-5);
        expect(fitted.dataError).toBeLessThan(1e-5);
      }
    }
    // The convert command says the same.
    const output = join(folder, 'whitened.onnx');
    const converted = json(
      ...['convert', ...words, '--rank-scale', '0.5', '--init', 'whitened', '--scheme', 'spatial', '-o', output],
    ) as ConvertReport;
    const spatial = compared(...words, '--rank-scale', '0.5', '--inits', 'whitened', '--scheme', 'spatial');
    converted.layers.forEach(({ dataError, weightError }, index) => {
      if (dataError === undefined) return;
      expect(spatial.layers[index]!.fits['whitened']).toMatchObject({ dataError, weightError });
    });
  });

  it('fits with the inits that sample where they are named, layers and the whole model', () => {
    const words = [
      '--inits',
      'spectral,lfai-ws-adam,fai',
      '--fit-steps',
      '20',
      '--fit-batch',
      '8',
      '--rank-scale',
      '0.5',
    ];
    const { inits, layers, settings } = compared(model, ...words, '--val', images, ...unit);
    expect(settings).toMatchObject({ fitSteps: 20, fitBatch: 8 });
    for (const { name, failure, accuracy: measured } of inits) {
      expect({ name, failure }).toEqual({ name, failure: null });
      expect(measured).not.toBeNull();
    }
    for (const { fits } of layers.filter(({ action }) => action === 'factorized')) {
      const [plain, ...moved] = Object.values(fits).map(({ weightError }) => weightError!);
      expect(moved).toHaveLength(2);
      // Adam leaves the truncated SVD, which is the best approximation of the weight.
      for (const error of moved) expect(error).toBeGreaterThan(plain!);
    }
    expectFailure(
      run('compare', model, '--inits', 'spectral', '--fit-steps', '3'),
      'USAGE',
      /--fit-steps does nothing/,
      2,
    );
  });

  it('measures the bound and the gap even of initializations that are not asked for', () => {
    const layer = compared(model, '--inits', 'baseline').layers.find(({ action }) => action === 'factorized');
    expect(Object.keys(layer!.fits)).toEqual(['baseline']);
    expect(layer!.theorem!.gap).toBeGreaterThanOrEqual(layer!.theorem!.bound! * (1 - 1e-3));
  });

  it('refuses what is wrong in one line', async () => {
    expectFailure(
      run('compare', model, '--inits', 'spectral,lfaj'),
      'USAGE',
      /no initialization 'lfaj'.*did you mean 'lfai'/,
      2,
    );
    expectFailure(run('compare', model, '--inits', ','), 'USAGE', /no initialization ''/, 2);
    expectFailure(run('compare', model, ...unit), 'USAGE', /--normalization does nothing without --data or --val/, 2);
    expectFailure(run('compare', model, '--limit', '3'), 'USAGE', /--limit does nothing without --val/, 2);
    expectFailure(run('compare', model, '--calibrate-images', '3'), 'USAGE', /does nothing without --data/, 2);
    expectFailure(run('compare', model, '--inits', 'whitened'), 'USAGE', /there are no images; give --data/, 2);
    expectFailure(run('compare', model, '--data', join(folder, 'none')), 'INPUT', /none/);
    expectFailure(run('compare', model, '--stretch'), 'USAGE', /--stretch does nothing without --data or --val/, 2);
    expectFailure(run('compare', model, '--reinit', '--val', images), 'USAGE', /--reinit and --val contradict/, 2);
    expectFailure(run('compare', model, '--energy', '0.9', '--rank-scale', '0.1'), 'USAGE', /contradict each other/, 2);
    expectFailure(run('compare', join(folder, 'nowhere.onnx')), 'INPUT', /nowhere\.onnx/);
    // Without labels; and with the classes of something else.
    expectFailure(run('compare', model, '--val', join(images, 'val', textures[0])), 'INPUT', /but no class folders/);
    const two = join(folder, 'two');
    await writeTextures(two, 1, 1, ['a', 'b']);
    expectFailure(run('compare', model, '--val', two), 'INPUT', /2 classes and the model 3 outputs/);
  });
});

describe.skipIf(!hasShared)('lowrank-compare on real models', () => {
  it.each([
    ['st-resnetv1-8-cifar10.onnx', '0.25', 'unit'],
    ['cifar10-tinycnn-op18.onnx', '0.5', 'cifar10'],
  ])('%s: what convert and eval say one by one', (name, scale, normalization) => {
    const path = modelPath(name);
    const cifar = join(modelPath('..'), 'images/cifar10');
    const same = ['--normalization', normalization, '--limit', '100'];
    const report = compared(...[path, '--rank-scale', scale, '--inits', 'spectral,lfai', '--val', cifar, ...same]);
    const output = join(folder, name);
    const converted = json('convert', path, '-o', output, '--rank-scale', scale, '--init', 'lfai') as ConvertReport;
    expect(report.totals.params).toEqual(converted.totals.params);
    expect(report.totals.macs).toEqual(converted.totals.macs);
    expect(report.layers.length).toBe(converted.layers.length);
    report.layers.forEach((layer, index) => {
      const { init: _, seconds: __, weightError, functionError, ...expected } = converted.layers[index]!;
      expect(layer).toMatchObject(expected);
      if (layer.action === 'factorized') expect(layer.fits['lfai']).toMatchObject({ weightError, functionError });
      const { theorem } = layer;
      // float32, see test/factorize/theorem-bound.test.ts.
      if (theorem?.bound != null) expect(theorem.bound).toBeLessThanOrEqual(theorem.gap! + 1e-6 * theorem.scale!);
      else if (theorem !== null) expect(theorem.reason).toMatch(/./);
    });
    const evaluation = json('eval', output, '--data', cifar, ...same) as EvalReport;
    const { top1, ci95, loss } = evaluation;
    const [, lfai] = report.inits;
    expect(lfai!.accuracy).toMatchObject({ top1, ci95 });
    expect(lfai!.accuracy!.loss).toBeCloseTo(loss, 5);
    const original = json('eval', path, '--data', cifar, ...same) as EvalReport;
    expect(report.validation!.original.top1).toBe(original.top1);
  });

  it('compares transformers, efficient networks and plain perceptrons, with a reason where there is no bound', () => {
    for (const name of ['st-efficientnet-lc-flowers5.onnx', 'mnist-mlp-pt2.3-op17.onnx']) {
      const { layers } = compared(modelPath(name), '--inits', 'spectral,lfai');
      const fitted = layers.filter(({ action }) => action === 'factorized');
      expect(fitted.length).toBeGreaterThan(0);
      for (const { theorem, activation, fits } of fitted) {
        expect(theorem!.bound === null).toBe(activation !== 'Relu');
        if (activation !== 'Relu')
          expect(theorem!.reason).toMatch(/theorem is about ReLU|truncated SVD is the optimum/);
        if (activation === 'linear') expect(theorem!.gap).toBe(0);
        expect(fits['lfai']!.functionError).toBeLessThanOrEqual(fits['spectral']!.functionError! * (1 + 1e-6));
      }
    }
  });

  it('refuses quantized models', () => {
    expectFailure(run('compare', modelPath('refuse/cifar10-resnet8-qdq-op13.onnx')), 'UNSUPPORTED', /quantized/);
  });
});
