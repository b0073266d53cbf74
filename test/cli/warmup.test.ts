import { existsSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { parseThen } from '../../src/cli/then-options.js';
import type { InspectReport } from '../../src/contracts/inspect.js';
import type { TrainReport } from '../../src/contracts/train.js';
import { expectFailure, run, temporaryFolder } from '../support/command.js';
import { failureOf } from '../support/errors.js';
import { tinyClassifier, writeTextures } from '../support/tiny-classifier.js';

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
const [data, model] = [at('photos'), at('model.onnx')];
const words = ['train', model, '--data', data, '--batch-size', '12', '--threads', '1'];

beforeAll(async () => {
  await writeTextures(join(data, 'train'), 12, 1);
  await writeTextures(join(data, 'val'), 4, 2);
  writeFileSync(model, tinyClassifier());
});

describe('--then', () => {
  it('takes options of convert, the first without its dashes', () => {
    expect(parseThen('rank-scale 0.25')).toEqual({ rankScale: 0.25 });
    expect(parseThen('--rank-scale=0.25 --scheme channel --no-keep-last')).toEqual({
      ...{ rankScale: 0.25, scheme: 'channel', keepLast: false },
    });
    expect(parseThen(`exclude "block 1*" --exclude 'b c' --calibrate synthetic`)).toEqual({
      ...{ exclude: ['block 1*', 'b c'], calibrate: 'synthetic' },
    });
    expect(parseThen('data photos')).toEqual({ calibrate: resolve('photos') });
    writeFileSync(at('ranks.json'), '{"a": 3, "b": "keep"}');
    expect(parseThen(`ranks ${at('ranks.json')}`)).toEqual({ ranks: { a: 3, b: 'keep' } });
  });

  it.each([
    ['rank-scal 0.25', "unknown option '--rank-scal'; did you mean --rank-scale?"],
    ['rank-scale 0.25 init spectral', "--then has 'init', which is no option; did you mean --init?"],
    ['ratio 0.5', "unknown option '--ratio'; did you mean --macs-budget or --params-budget?"],
    ['rank-scale 0.5 --scheme chanel', /^'chanel' is not a choice; option '--scheme'; did you mean 'channel'\?/],
    ['', /^--then is empty; give options of convert, such as `rank-scale/],
    ['rank-scale 0.5 --json', /^--then is 'rank-scale 0.5 --json'; give options of convert/],
    ['rank-scale 0.5 --report a.html', /^--then has '--report', which says nothing there; leave it out/],
    ['rank-scale 0.5 -o a.onnx', /^--then has '-o', which says nothing there; leave it out/],
    ['no-verify', /^--then has '--no-verify', which says nothing there; leave it out/],
  ])('"%s" is refused in one line', async (text, expected) => {
    const { message } = await failureOf('USAGE', () => parseThen(text));
    if (typeof expected === 'string') expect(message).toBe(expected);
    else expect(message).toMatch(expected);
  });

  it('has messages in words of the command line that it stands in', () => {
    const wrong = run(...words, '--warmup-full', '1', '--then', 'rank-scal 0.5');
    expectFailure(
      wrong,
      'USAGE',
      /^error\[USAGE\]: unknown option '--rank-scal'; did you mean --then rank-scale\?\n$/,
      2,
    );
  });
});

describe('--warmup-full', () => {
  it('trains, converts and trains on in one command, and goes on with --resume alone', () => {
    const output = at('trained.onnx');
    const then = ['--warmup-full', '1', '--then', 'rank-scale 0.5 --scheme channel --init spectral', '-o', output];
    const { code, stdout, stderr } = run(...words, ...then, '--epochs', '2', '--json');
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/\nepoch 1: converted: 4 layers, parameters 2\.63.* MACs .*, val loss .*, val top-1 .*\n/);
    const report = JSON.parse(stdout) as TrainReport;
    expect(report.conversion).toMatchObject({ epoch: 1, before: {}, after: {} });
    expect(report.written).toMatchObject({ epoch: 2 });
    const inspected = JSON.parse(run('inspect', output, '--json').stdout) as InspectReport;
    expect(inspected.layers.filter(({ pair }) => pair !== null && pair !== undefined).length).toBeGreaterThan(0);
    const longer = run('train', model, '-o', output, '--resume', '--epochs', '3');
    expect(longer.code, longer.stderr).toBe(0);
    expect(longer.stdout).toMatch(/\nconversion +epoch 1: converted: 4 layers, /);
    expect(longer.stdout).toMatch(/ epoch [23], the best of 2 of pairs: top-1 /);
    const other = run('train', model, '-o', output, '--resume', '--then', 'rank-scale 0.25');
    expectFailure(other, 'USAGE', /the checkpoint was trained with conversion \{.*\}, not \{"rankScale":0.25\}/, 2);
  });

  it.each([
    [
      ['--then', 'rank-scale 0.5'],
      /--then says what comes behind epochs in full rank, and there are none; give --warmup-full/,
    ],
    [['--warmup-full', 'some'], /--warmup-full is 'some'; give a whole number of epochs, or auto/],
    [['--warmup-full', '10'], /of 10 epochs --warmup-full 10 leaves none for the pairs; lower --warmup-full, or raise/],
    [['--warmup-full', '3', '--teacher', 'x.onnx'], /--warmup-full does not go with --teacher/],
    [['--warmup-full', '3', '--preset', 'recover'], /--preset recover does nothing without --teacher/],
    [['--warmup-full', '3', '--insert-bn'], /--insert-bn folds at the end .*; leave out --insert-bn/],
    [
      ['--warmup-full', '3', '--adapt-ranks', 'augmented'],
      /ranks are found while it trains, or behind epochs in full rank/,
    ],
    [['--warmup-full', '3', '--then', 'rank-scale 2'], /--then rank-scale 2 is not in \(0, 1\]/],
  ])('refuses %j', (more, message) => {
    const output = at('refused.onnx');
    expectFailure(run(...words, ...more, '-o', output), 'USAGE', message, 2);
    expect(existsSync(`${output}.checkpoints`)).toBe(false);
  });
});
