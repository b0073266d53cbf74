import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { ConvertReport, CurveReport } from '../../src/contracts/convert.js';
import { convertReport, expectFailure, run, temporaryFolder } from '../support/command.js';
import { buildModel } from '../support/models.js';
import { hasShared, modelPath } from '../support/shared.js';
import { tinyClassifier, writeTextures } from '../support/tiny-classifier.js';

const folder = temporaryFolder();
const model = join(folder, 'tiny.onnx');
const textures = join(folder, 'textures');
const few = ['--calibrate-images', '32', '--threads', '1'];

beforeAll(async () => {
  writeFileSync(model, tinyClassifier());
  mkdirSync(textures);
  await writeTextures(textures, 20, 1);
});

function converted(name: string, ...options: readonly string[]): ConvertReport {
  return convertReport(model, '-o', join(folder, name), '--force', ...few, ...options);
}

const bytesOf = (name: string): Buffer => readFileSync(join(folder, name));
const ranksOf = ({ layers }: ConvertReport): unknown => layers.map(({ rank, scheme }) => [rank, scheme]);

describe('lowrank convert without options', () => {
  it('says what it was fitted on, what it agrees on, and what ranks were chosen by', () => {
    const output = join(folder, 'plain.onnx');
    const { code, stdout, stderr } = run('convert', model, '-o', output, ...few);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(stdout).toMatch(/synthetic/);
    expect(stdout).toMatch(/macs budget 0\.5|0\.5/);
    expect(existsSync(output)).toBe(true);
  });

  it('gives the same file again, from its own settings too, and another for another seed', () => {
    const one = converted('one.onnx');
    const config = join(folder, 'config.json');
    const { output: _, ...settings } = one.settings;
    writeFileSync(config, JSON.stringify(settings));
    const again = run('convert', model, '--config', config, '-o', join(folder, 'again.onnx'));
    expect(again.code, again.stderr).toBe(0);
    expect(bytesOf('again.onnx').equals(bytesOf('one.onnx'))).toBe(true);
    converted('other.onnx', '--seed', '1');
    expect(bytesOf('other.onnx').equals(bytesOf('one.onnx'))).toBe(false);
  });

  it('goes by the weights, with one line, where the model takes no pictures', () => {
    const path = join(folder, 'vectors.onnx');
    const data = Float32Array.from({ length: 400 }, (_, index) => Math.sin(index));
    writeFileSync(
      path,
      buildModel({
        inputs: [{ name: 'x', dims: ['n', 20] }],
        outputs: [{ name: 'y', dims: ['n', 20] }],
        nodes: ['a', 'b', 'y'].map((name, index) => ({
          op: 'MatMul',
          inputs: [['x', 'a', 'b'][index]!, `w${index}`],
          outputs: [name],
          name,
        })),
        initializers: [0, 1, 2].map((index) => ({ name: `w${index}`, dims: [20, 20], data })),
      }),
    );
    const output = join(folder, 'vectors.lowrank.onnx');
    const { code, stdout, stderr } = run('convert', path);
    expect(code, stderr).toBe(0);
    expect(
      (stdout + stderr).match(/nothing was fitted to pictures, only to the weights: .*no batch of images/g),
    ).toHaveLength(1);
    expect(existsSync(output)).toBe(true);
  });
});

describe('lowrank convert --calibrate none', () => {
  it('is what it was before there were pictures: a quarter of the rank, by the weights', () => {
    const report = converted('none.onnx', '--calibrate', 'none');
    const spelled = converted('spelled.onnx', '--init', 'lfai', '--rank-scale', '0.25', '--scheme', 'auto');
    expect(bytesOf('none.onnx').equals(bytesOf('spelled.onnx'))).toBe(true);
    expect(ranksOf(spelled)).toEqual(ranksOf(report));
    for (const { action, kernel, in: inputs, out, rank, scheme, init } of report.layers) {
      if (action !== 'factorized') continue;
      expect(init).toBe('lfai');
      const [kh = 1, kw = 1] = kernel;
      const [rows, cols] = [out * kh, inputs * kw];
      // The spatial scheme comes first; the channel scheme has the rank that costs as much.
      if (scheme === 'spatial') expect(rank).toBe(Math.max(1, Math.round(0.25 * Math.min(rows, cols))));
    }
    expect(report.layers.some(({ scheme }) => scheme === 'spatial')).toBe(true);
    expect([report.calibration, report.sensitivity, report.agreement]).toEqual([undefined, undefined, undefined]);
  });
});

describe('lowrank convert --keep', () => {
  const share = (report: ConvertReport): number => report.agreement!.top1!.share;

  it('writes the smallest model it measured that agrees so often', () => {
    const report = converted('keep.onnx', '--keep', '0.95');
    expect(share(report)).toBeGreaterThanOrEqual(0.95);
    expect(report.settings).toMatchObject({ keep: 0.95, macsBudget: null });
    const { points } = report.tradeOff!;
    const chosen = points.find(({ isChosen }) => isChosen)!;
    expect(chosen.measured).toMatchObject({ agreement: share(report) });
    const enough = points.filter(({ measured }) => measured !== null && measured.agreement! >= 0.95);
    expect(chosen.macs).toBe(Math.min(...enough.map(({ macs }) => macs)));
    const milder = converted('milder.onnx', '--keep', '0.99');
    expect(share(milder)).toBeGreaterThanOrEqual(0.99);
    expect(milder.totals.macs.ratio).toBeGreaterThanOrEqual(report.totals.macs.ratio);
  });

  it('agrees so often on images too, whatever fits', () => {
    for (const init of [[], ['--init', 'spectral']]) {
      const report = converted('photos.onnx', '--keep', '0.9', '--calibrate', textures, ...init);
      expect(report.agreement).toMatchObject({ data: textures });
      expect(share(report)).toBeGreaterThanOrEqual(0.9);
    }
  });

  it('says so where no model does, and writes nothing', () => {
    const output = join(folder, 'never.onnx');
    const words = ['convert', model, '-o', output, ...few, '--include', 'block2.conv1', '--keep', '1'];
    expectFailure(
      run(...words, '--quiet'),
      'NUMERIC',
      /no conversion agrees with the original on 100\.0 % of the images/,
    );
    expect(readdirSync(folder).filter((name) => name.includes('never'))).toEqual([]);
  });

  it('says why there are none to measure on', () => {
    const path = join(folder, 'features.onnx');
    const data = Float32Array.from({ length: 400 }, (_, index) => Math.sin(index));
    const node = { op: 'MatMul', inputs: ['x', 'w'], outputs: ['y'], name: 'y' };
    const [x, y] = ['x', 'y'].map((name) => ({ name, dims: ['n', 20] }));
    const w = { name: 'w', dims: [20, 20], data };
    writeFileSync(path, buildModel({ inputs: [x!], outputs: [y!], nodes: [node], initializers: [w] }));
    const words = /--keep measures agreement on pictures, and the input 'x' is float32 \[-1, 20\], no batch/;
    expectFailure(run('convert', path, '--keep', '0.9'), 'UNSUPPORTED', words);
  });

  it('needs images', () => {
    const output = join(folder, 'never.onnx');
    const outcome = run('convert', model, '-o', output, '--calibrate', 'none', '--keep', '0.9');
    expectFailure(outcome, 'USAGE', /--keep needs images .*--calibrate/, 2);
    expect(existsSync(output)).toBe(false);
  });
});

describe('lowrank convert --curve', () => {
  it('writes nothing, and expects of a budget what its conversion finds', () => {
    const before = readdirSync(folder);
    const { code, stdout, stderr } = run('convert', model, '--curve', '--json', ...few);
    expect(code, stderr).toBe(0);
    expect(readdirSync(folder)).toEqual(before);
    const curve = JSON.parse(stdout) as CurveReport;
    expect(curve.schema).toBe('lowrank.curve/1');
    const { points, of, unit } = curve.tradeOff;
    expect([of, unit]).toEqual(['macs', 'kl']);
    expect(points.map(({ budget }) => budget)).toEqual(points.map(({ budget }) => budget).toSorted((a, b) => a - b));
    const chosen = points.filter(({ isChosen }) => isChosen);
    expect(chosen).toHaveLength(1);

    const usual = converted('usual.onnx');
    const own = usual.tradeOff!.points.find(({ isChosen }) => isChosen)!;
    expect(chosen[0]).toMatchObject({ macs: own.macs, params: own.params, predicted: own.predicted });
    expect(chosen[0]!.measured).toEqual(own.measured);
    for (const budget of [0.7, 0.9]) {
      const report = converted('at.onnx', '--macs-budget', String(budget));
      const at = points.find((point) => point.budget === budget)!;
      const there = report.tradeOff!.points.find(({ isChosen }) => isChosen)!;
      expect(there).toMatchObject({ macs: at.macs, predicted: at.predicted });
      expect(at.measured!.change).toBeCloseTo(report.agreement!.kl!.mean, 6);
      expect(at.measured!.agreement).toBe(report.agreement!.top1!.share);
      expect(at.expected).toBe(at.measured!.change);
    }
  });

  it('is a table, on terminals', () => {
    const { code, stdout } = run('convert', model, '--curve', ...few);
    expect(code).toBe(0);
    expect(stdout).toMatch(/0\.9|90 ?%/);
  });

  it('is made of budgets and images', () => {
    expectFailure(run('convert', model, '--curve', '--energy', '0.9'), 'USAGE', /--curve is of budgets/, 2);
    expectFailure(
      run('convert', model, '--curve', '--calibrate', 'none'),
      'USAGE',
      /--curve is made of what the layers see/,
      2,
    );
  });
});

describe('options without effect', () => {
  it('are said, and the conversion goes on', () => {
    const output = join(folder, 'idle.onnx');
    const { code, stderr } = run('convert', model, '-o', output, '--calibrate', 'none', '--image-size', '32');
    expect(stderr).toMatch(/--image-size does nothing without --calibrate or --recover or --recalibrate or --val/);
    expect(code).toBe(0);
    expect(existsSync(output)).toBe(true);
  });
});

describe.skipIf(!hasShared)('a real model', () => {
  it('of grey pictures is fitted to synthetic ones', () => {
    const output = join(folder, 'grey.onnx');
    const report = convertReport(modelPath('mnist-lenet-onnxmltools-op11.onnx'), '-o', output, ...few);
    expect(report.calibration).toMatchObject({ data: 'synthetic', images: 32 });
    expect(report.verify).toMatchObject({ reloaded: true });
  });
});
