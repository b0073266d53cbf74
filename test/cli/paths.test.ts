import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { linkSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { readModel } from '../../src/graph/read.js';
import { writeModel } from '../../src/graph/write.js';
import { packSource } from '../../src/data/pack.js';
import { openSource } from '../../src/data/open.js';
import { convert } from '../../src/convert/convert.js';
import { merge } from '../../src/merge/merge.js';
import { writeArtifacts } from '../../src/artifacts/artifacts.js';
import { train } from '../../src/training/loop.js';
import { expectFailure, lowrank, run, runIn, temporaryFolder } from '../support/command.js';
import { failureOf } from '../support/errors.js';
import { tinyClassifier, writeTextures } from '../support/tiny-classifier.js';

const folder = temporaryFolder();
const at = (...parts: readonly string[]): string => join(folder, ...parts);

beforeAll(async () => {
  await writeTextures(at('photos/train'), 2, 1);
  await writeTextures(at('photos/val'), 1, 2);
  writeFileSync(at('m.onnx'), tinyClassifier());
  writeModel(readModel(tinyClassifier()), at('big.onnx'), { dataLocation: 'external' });
  symlinkSync('m.onnx', at('link.onnx'));
  linkSync(at('m.onnx'), at('hard.onnx'));
  symlinkSync('m.onnx', at('usual.onnx'));
  symlinkSync('m.onnx', at('usual.lowrank.onnx'));
  symlinkSync('photos', at('pictures'));
  writeFileSync(at('c.yaml'), 'seed: 1\n');
  writeFileSync(at('ranks.json'), '{}');
  writeFileSync(at('classes.txt'), 'across\nalong\ndiagonal\n');
  writeFileSync(at('study.yaml'), 'architectures: [m.onnx]\ndata: photos\n');
  mkdirSync(at('art'));
  linkSync(at('m.onnx'), at('art/eval.onnx'));
  mkdirSync(at('m.trained.onnx.checkpoints/step-000000001'), { recursive: true });
  linkSync(at('m.onnx'), at('m.trained.onnx.checkpoints/step-000000001/model.onnx'));
  run('data', 'pack', at('photos/train'), '-o', at('packed'), '--workers', '0');
});

/** All that is there, to the last byte. */
function state(): string {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();
  const hash = createHash('sha256');
  for (const name of names) {
    hash.update(`${name}\n`);
    if (statSync(at(name)).isFile()) hash.update(readFileSync(at(name)));
  }
  return hash.digest('hex');
}

/** Every other command is run without --force. */
let isBare = false;

describe('an output that is an input or another output', () => {
  it.each<[string, readonly string[]]>([
    ['convert onto its model', ['convert', 'm.onnx', '-o', './m.onnx']],
    ['convert onto its model by a way round', ['convert', 'm.onnx', '-o', 'photos/../m.onnx']],
    ['convert, its usual output being a link to the model', ['convert', 'usual.onnx']],
    ['convert through a symbolic link', ['convert', 'm.onnx', '-o', 'link.onnx']],
    ['convert through a hard link', ['convert', 'm.onnx', '-o', 'hard.onnx']],
    ['convert onto data of its model', ['convert', 'big.onnx', '-o', 'big.onnx.data']],
    ['convert with data onto that of its model', ['convert', 'big.onnx', '-o', 'big.onnx']],
    ['convert, its report onto the output', ['convert', 'm.onnx', '-o', 'new', '--report', './new']],
    ['convert, its report onto the default output', ['convert', 'm.onnx', '--report', 'm.lowrank.onnx']],
    ['convert, its report onto data of the output', ['convert', 'm.onnx', '-o', 'n', '--report', 'n.data']],
    ['convert, its report onto the ranks', ['convert', 'm.onnx', '--ranks', 'ranks.json', '--report', 'ranks.json']],
    ['convert onto the configuration', ['convert', 'm.onnx', '--config', 'c.yaml', '-o', 'c.yaml']],
    [
      'convert into images',
      ['convert', 'm.onnx', '-o', 'photos/train/o.onnx', '--recalibrate', 'photos/train', '--normalization', 'unit'],
    ],
    ['merge onto its model', ['merge', 'm.onnx', '-o', 'link.onnx']],
    ['create onto its configuration', ['create', 'lenet5', '-o', 'c.yaml', '--config', 'c.yaml']],
    ['inspect, its report onto the model', ['inspect', 'm.onnx', '--report', 'hard.onnx']],
    ['compare, its report onto the model', ['compare', 'm.onnx', '--report', 'hard.onnx']],
    [
      'eval, its report onto the second model',
      ['eval', 'big.onnx', '--data', 'photos', '--vs', 'm.onnx', '--report', 'link.onnx'],
    ],
    [
      'eval, its report onto the classes',
      ['eval', 'm.onnx', '--data', 'photos', '--classes', 'classes.txt', '--report', 'classes.txt'],
    ],
    ['eval, its report among the images', ['eval', 'm.onnx', '--data', 'photos', '--report', 'pictures/val/r.html']],
    ['artifacts onto the model', ['artifacts', 'm.onnx', '-o', 'm.onnx']],
    ['artifacts into the folder of the model', ['artifacts', 'art/eval.onnx', '-o', 'art']],
    ['train onto its model', ['train', 'm.onnx', '--data', 'photos', '-o', 'hard.onnx']],
    ['train, its report onto the output', ['train', 'm.onnx', '--data', 'photos', '--report', 'm.trained.onnx']],
    ['train, its report onto the lock', ['train', 'm.onnx', '--data', 'photos', '-o', 'n', '--report', 'n.lock']],
    [
      'train towards a teacher, its report onto the teacher',
      ['train', 'm.onnx', '--teacher', 'big.onnx', '--data', 'photos', '--report', 'big.onnx.data'],
    ],
    [
      'train towards a teacher, its report onto the output',
      ['train', 'm.onnx', '--teacher', 'big.onnx', '--data', 'photos', '-o', 'n', '--report', 'n'],
    ],
    ['train, its events among the images', ['train', 'm.onnx', '--data', 'photos', '--tensorboard', 'photos/train']],
    ['train, its events onto the output', ['train', 'm.onnx', '--data', 'photos', '-o', 'n', '--tensorboard', 'n']],
    [
      'train from a checkpoint of the output',
      ['train', 'm.trained.onnx.checkpoints/step-000000001/model.onnx', '--data', 'photos', '-o', 'm.trained.onnx'],
    ],
    ['study into its images', ['study', 'study.yaml', '-o', 'pictures']],
    ['study around its model', ['study', 'study.yaml', '-o', '.']],
    ['data pack onto its images', ['data', 'pack', 'photos/train', '-o', 'pictures/train']],
    ['data pack into its images', ['data', 'pack', 'photos/train', '-o', 'photos/train/x']],
    ['data pack around its images', ['data', 'pack', 'photos/train', '-o', 'photos']],
    ['data pack onto its own source', ['data', 'pack', 'packed', '-o', './packed/']],
  ])('%s: USAGE, and nothing is touched', (_, words) => {
    const before = state();
    const more = words[0] === 'study' || isBare ? [] : ['--force'];
    isBare = !isBare;
    expectFailure(
      runIn(folder, ...words, ...more),
      'USAGE',
      / (are the same (file|folder)|lies in .*);.*; choose another /,
      2,
    );
    expect(state()).toBe(before);
  });

  it('is refused by the library too', async () => {
    const source = await openSource(at('packed'));
    const settings = {
      size: 8,
      format: 'ppm',
      quality: 90,
      interpolation: 'bicubic',
      shardSize: 9,
      seed: null,
    } as const;
    const tool = { name: 'lowrank', version: '0' } as const;
    for (const action of [
      () => convert(at('m.onnx'), { output: at('hard.onnx'), force: true }),
      () => merge(at('m.onnx'), { output: at('link.onnx'), force: true }),
      () => writeArtifacts(at('art/eval.onnx'), at('art'), { force: true }),
      () => train({ model: at('m.onnx'), output: at('m.onnx'), data: at('photos'), force: true }),
      () => packSource(source, at('packed'), { settings, tool, force: true, workers: 0 }),
    ]) {
      await failureOf('USAGE', action);
    }
    await source.close();
  });
});

describe.skipIf(process.platform === 'win32')('what is no regular file is an error in one line, not a wait', () => {
  beforeAll(() => {
    mkdirSync(at('odd/a'), { recursive: true });
    mkdirSync(at('odd/b'), { recursive: true });
    writeFileSync(at('odd/b/1.png'), readFileSync(at('photos/train/along/0.png')));
    for (const name of ['fifo', 'fifo.tar', 'fifo.parquet', 'odd/a/1.png']) execFileSync('mkfifo', [at(name)]);
    symlinkSync('/dev/zero', at('zero'));
    symlinkSync('/dev/zero', at('zero.tar'));
  });

  const odd = ['fifo', 'zero'] as const;
  it.each<[string, readonly string[], readonly string[]]>([
    ['a model', ['inspect', '?'], odd],
    ['a model to train', ['train', '?', '--data', 'photos', '-o', 'new'], ['fifo']],
    ['a second model', ['eval', 'm.onnx', '--data', 'photos', '--vs', '?'], ['fifo']],
    ['a configuration', ['inspect', 'm.onnx', '--config', '?'], ['fifo']],
    ['ranks', ['convert', 'm.onnx', '--ranks', '?', '-o', 'new'], ['fifo']],
    ['classes', ['eval', 'm.onnx', '--data', 'photos', '--classes', '?'], ['zero']],
    ['a study', ['study', '?', '-o', 'new'], ['fifo']],
    ['images', ['data', 'check', '?'], ['fifo.tar', 'fifo.parquet', 'zero.tar']],
    ['an image', ['data', 'pack', 'odd', '-o', 'new'], ['']],
    ['an output', ['create', 'lenet5', '-o', '?', '--force'], ['zero']],
    ['a report', ['inspect', 'm.onnx', '--report', '?', '--force'], ['fifo']],
  ])('%s', (_, words, names) => {
    for (const name of names) {
      const { status, stdout, stderr, signal } = spawnSync(
        process.execPath,
        [lowrank, ...words.map((word) => (word === '?' ? name : word)), '-q'],
        { cwd: folder, encoding: 'utf8', timeout: 20_000 },
      );
      expect(signal, `${words.join(' ')} with ${name}`).toBeNull();
      expect(stderr.trimEnd().split('\n')).toHaveLength(1);
      expectFailure({ code: status, stdout, stderr }, stderr.slice(6, stderr.indexOf(']')), /^error\[(INPUT|OUTPUT)\]/);
    }
  });

  it('also as an image among others, which counts as bad', () => {
    const { code, stdout } = run('data', 'check', at('odd'), '--json');
    expect(code).toBe(1);
    expect((JSON.parse(stdout) as { bad: { name: string; reason: string }[] }).bad).toMatchObject([
      { name: 'a/1.png', reason: expect.stringMatching(/not a regular file/) as string },
    ]);
  });
});
