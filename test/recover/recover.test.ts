import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { RecoverReport } from '../../src/contracts/recover.js';
import { readModel } from '../../src/graph/read.js';
import { modelBytes } from '../../src/graph/write.js';
import { Tensor } from '../../src/onnx/tensor.js';
import { expectFailure, run, temporaryFolder } from '../support/command.js';
import { disturbed } from '../support/disturbed.js';
import { faultOf } from '../support/schemas.js';
import { tinyClassifier, writeTextures } from '../support/tiny-classifier.js';

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
const photos = at('photos');
const [teacher, student] = [at('teacher.onnx'), at('student.onnx')];

const train = (...words: readonly string[]) =>
  run('train', student, '--teacher', teacher, '--data', photos, '--normalization', 'unit', ...words);
const recovered = (...words: readonly string[]): RecoverReport => {
  const { code, stdout, stderr } = train('--json', ...words);
  expect(code, stderr).toBe(0);
  const report = JSON.parse(stdout) as RecoverReport;
  expect(faultOf(report)).toBe(undefined);
  return report;
};

const short = ['--steps', '40', '--batch-size', '8'];

beforeAll(async () => {
  await writeTextures(photos, 20, 5);
  writeFileSync(teacher, tinyClassifier({ seed: 1 }));
  writeFileSync(student, disturbed(tinyClassifier({ seed: 1 }), 0.1));
});

describe('a training towards a teacher', () => {
  it('comes closer to it on pictures that it does not learn from, and says how', () => {
    const report = recovered('-o', at('out.onnx'), ...short);
    const { start, written, rate, matching, data, status } = report;
    expect(status).toBe('finished');
    expect(written!.loss).toBeLessThan(0.5 * start.loss);
    expect(rate.from).toBe('trials');
    expect(rate.trials.length).toBeGreaterThan(1);
    expect(matching).toMatchObject({ classes: 3, batchNorm: 'frozen', teacher: 'in every update' });
    expect(matching.points.map(({ name }) => name)).toContain('block2.conv2.bn');
    expect(data).toEqual({ path: photos, images: 50, heldOut: { path: photos, images: 10, from: 'data' } });
  });

  it('writes the same bytes again with the same seed', () => {
    const words = [...short, '--lr', '0.003', '--threads', '1'];
    recovered('-o', at('one.onnx'), ...words);
    recovered('-o', at('two.onnx'), ...words);
    expect(readFileSync(at('one.onnx'))).toEqual(readFileSync(at('two.onnx')));
  });

  it('never writes weights that are further away than those it began with, and says so', () => {
    const { code, stdout } = train('-o', at('worse.onnx'), '--steps', '6', '--batch-size', '8', '--lr', '30');
    expect(code).toBe(0);
    expect(stdout).toMatch(/the weights that it began with: no others were closer to the teacher/);
    const [before, after] = [student, at('worse.onnx')].map((path) => readModel(readFileSync(path)).graph);
    for (const { name, tensor } of before!.initializers) {
      expect(after!.value(name)!.tensor!.toFloat32()).toEqual(tensor!.toFloat32());
    }
  });

  it('says so with --json too, where no update gives a number', () => {
    const { written, evaluations, retreats } = recovered(
      '-o',
      at('huge.onnx'),
      '--steps',
      '6',
      '--batch-size',
      '8',
      '--lr',
      '1e12',
    );
    expect(written!.step).toBe(0);
    expect(retreats).toBeGreaterThan(0);
    for (const { loss, trainingLoss } of evaluations) expect(Number.isFinite(loss + trainingLoss)).toBe(true);
  });

  it('says where the two agree by chance alone', () => {
    writeFileSync(at('stranger.onnx'), tinyClassifier({ seed: 8 }));
    const words = [
      '--data',
      photos,
      '--teacher',
      teacher,
      '--normalization',
      'unit',
      '--steps',
      '2',
      '--batch-size',
      '8',
    ];
    const { stderr } = run('train', at('stranger.onnx'), ...words, '--lr', '0.001', '-o', at('stranger.out.onnx'));
    expect(stderr).toMatch(/little more than by chance: is the teacher the model that it was converted from/);
  });

  it('matches the outputs of a teacher that has no name in common with it', () => {
    const renamed = Buffer.from(tinyClassifier({ seed: 1 }))
      .toString('latin1')
      .replaceAll('block', 'stage')
      .replaceAll('stem', 'root');
    writeFileSync(at('renamed.onnx'), Buffer.from(renamed, 'latin1'));
    const { matching, start, written } = recovered(
      '-o',
      at('strange.onnx'),
      ...short,
      '--lr',
      '0.003',
      '--teacher',
      at('renamed.onnx'),
    );
    expect(matching.points.map(({ name }) => name)).toEqual(['y']);
    expect(written!.loss).toBeLessThan(0.5 * start.loss);
  });

  it('learns from labels too, which then say what is right', () => {
    const report = recovered('-o', at('labels.onnx'), ...short, '--label-weight', '0.5', '--lr', '0.003');
    expect(report.preparation?.classes).toEqual({ count: 3, from: 'images' });
    expect(report.written!.loss).toBeLessThan(report.start.loss);
  });
});

describe('--report', () => {
  const page = at('page.html');
  const few = ['-o', at('paged.onnx'), '--steps', '4', '--batch-size', '8', '--lr', '0.003', '--report', page];

  it('writes a page beside the model, with the command that repeats it', () => {
    const { code, stderr } = train(...few);
    expect(code, stderr).toBe(0);
    expect(stderr).toContain(`report: ${page}`);
    const html = readFileSync(page, 'utf8');
    expect(html).toContain('<h2>Towards the original</h2>');
    expect(html).toContain('block2.conv2.bn');
    expect(html).toMatch(/lowrank train .*--report .*page\.html/);
  });

  it('replaces nothing without --force, and trains nothing before it says so', () => {
    writeFileSync(page, 'mine');
    const again = train(...few, '-o', at('unpaged.onnx'), '--quiet');
    expectFailure(again, 'OUTPUT', /page\.html.*--force/);
    expect(readFileSync(page, 'utf8')).toBe('mine');
    expect(existsSync(at('unpaged.onnx'))).toBe(false);
  });
});

describe('--explain', () => {
  it('lists what would be matched, and writes nothing', () => {
    const { code, stdout } = train('--explain', '-o', at('explained.onnx'));
    expect(code).toBe(0);
    expect(stdout).toMatch(/^matched +3 classes and 7 values; BatchNormalization frozen$/m);
    expect(stdout).toMatch(/block2\.conv2\.bn, weight 0\.167/);
    expect(existsSync(at('explained.onnx'))).toBe(false);
  });
});

describe('what cannot be followed', () => {
  const fails = (code: string, words: RegExp, ...more: readonly string[]): void =>
    expectFailure(train('-o', at('none.onnx'), '--quiet', ...more), code, words, code === 'USAGE' ? 2 : 1);

  it.each([
    [['--resume'], /--resume does not go with --teacher.*begin again/],
    [['--adapt-ranks', 'augmented'], /--adapt-ranks does not go with --teacher/],
    [['--no-keep-first'], /--no-keep-first does not go with --teacher/],
    [['--epochs', '3'], /--epochs does not go with --teacher; give --steps instead/],
    [['--preset', 'fine-tune'], /--preset fine-tune is for a training on labels/],
    [['--match', 'everything'], /--match/],
    [['--dropout', '0.1'], /trained without dropout; --dropout; leave it out/],
    [['--drop-path', '0.1'], /trained without dropped paths/],
    [['--label-smoothing', '0.1'], /no labels are read that could be smoothed/],
  ] as const)('%s', (words, message) => fails('USAGE', message, ...words));

  it('a teacher of other classes, or of other images', () => {
    writeFileSync(at('five.onnx'), tinyClassifier({ classes: 5 }));
    fails('USAGE', /tells 3 classes apart, the teacher 5/, '--teacher', at('five.onnx'));
  });

  it('a teacher that takes pictures normalized otherwise, by what the files say', () => {
    const saying = (path: string, seed: number, normalization: string): string => {
      const model = readModel(tinyClassifier({ seed }));
      model.metadata.set('lowrank.normalization', normalization);
      writeFileSync(path, modelBytes(model));
      return path;
    };
    const [own, other] = [saying(at('unit.onnx'), 2, 'unit'), saying(at('imagenet.onnx'), 1, 'imagenet')];
    const words = ['train', own, '--teacher', other, '--data', photos, '-o', at('none.onnx'), ...short, '--quiet'];
    const message =
      /take pictures normalized differently.*unit\.onnx: unit; .*imagenet\.onnx: imagenet.*--normalization/;
    expectFailure(run(...words), 'USAGE', message, 2);
    expect(run(...words, '--normalization', 'unit', '--explain').code).toBe(0);
  });

  it('a teacher whose outputs are not finite', () => {
    const model = readModel(tinyClassifier({ seed: 1 }));
    const bias = model.graph.value('fc.bias')!;
    model.graph.setTensor(bias, Tensor.ofFloats('fc.bias', [3], Float32Array.of(NaN, 0, 0)));
    writeFileSync(at('nan.onnx'), modelBytes(model));
    fails('NUMERIC', /outputs of the model or of its teacher are not finite/, '--teacher', at('nan.onnx'));
  });

  it('pictures that cannot be decoded, or that are too few', () => {
    mkdirSync(at('broken'));
    for (let i = 0; i < 12; i++) writeFileSync(at(`broken/${i}.png`), 'no picture');
    fails('INPUT', /broken/, '--data', at('broken'), '--batch-size', '4');
    fails('INPUT', /fewer than a batch of 64/, '--batch-size', '64');
  });

  it('options of a teacher without one', () => {
    const alone = run('train', student, '--data', photos, '--match', 'features', '--quiet');
    expectFailure(alone, 'USAGE', /--match does nothing without --teacher/, 2);
    const preset = run('train', student, '--data', photos, '--preset', 'recover', '--quiet');
    expectFailure(preset, 'USAGE', /--preset recover does nothing without --teacher/, 2);
  });
});
