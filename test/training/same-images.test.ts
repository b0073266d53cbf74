import { cpSync, readdirSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { openSource } from '../../src/data/open.js';
import { type DataStamp, stampSource } from '../../src/data/stamp.js';
import { requireSameTraining } from '../../src/training/same-training.js';
import { expectFailure, run, temporaryFolder, type Outcome } from '../support/command.js';
import { tinyClassifier, writeTextures } from '../support/tiny-classifier.js';

const folder = temporaryFolder();
const photos = join(folder, 'photos');
const model = join(folder, 'model.onnx');

beforeAll(async () => {
  await writeTextures(photos, 4, 1);
  writeFileSync(model, tinyClassifier());
});

let copies = 0;
function copyOf(path: string): string {
  const copy = join(folder, `copy-${++copies}`);
  cpSync(path, copy, { recursive: true });
  return copy;
}

async function stampOf(path: string, content: 'always' | 'small' | 'never'): Promise<DataStamp> {
  const source = await openSource(path, {});
  try {
    return await stampSource(source, { content });
  } finally {
    await source.close();
  }
}

/** Sets the times of all files as a copy does. */
function touch(path: string, seconds = 2_000_000_000): void {
  for (const entry of readdirSync(path, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) utimesSync(join(entry.parentPath, entry.name), seconds, seconds);
  }
}

describe('the images of a checkpoint', () => {
  const check = (found: DataStamp | undefined, now: DataStamp | undefined, isStrict?: boolean) => () => {
    const identity = { model: 'hash', settings: {} };
    const withImages = (images: DataStamp | undefined) => (images === undefined ? identity : { ...identity, images });
    requireSameTraining('here', withImages(found), withImages(now), { isStrict });
  };
  const usage = (fact: RegExp, remedy: RegExp): unknown =>
    expect.objectContaining({
      code: 'USAGE',
      fact: expect.stringMatching(fact) as unknown,
      remedy: expect.stringMatching(remedy) as unknown,
    });

  it('are the same where files were copied or touched, if what is in them is known', async () => {
    const copy = copyOf(photos);
    touch(copy);
    const [found, now] = [await stampOf(photos, 'small'), await stampOf(copy, 'small')];
    expect(found.content).toMatch(/^[0-9a-f]{64}$/);
    expect(found.times).not.toBe(now.times);
    expect(now.newest!.time).toBe('2033-05-18T03:33:20.000Z');
    for (const isStrict of [undefined, true, false]) expect(check(found, now, isStrict)).not.toThrow();
  });

  it('are asked for where only the times differ', async () => {
    const copy = copyOf(photos);
    touch(copy);
    const [found, now] = [await stampOf(photos, 'never'), await stampOf(copy, 'never')];
    const fact = /copied, since the training began: their sizes are the same, .*newest file is .*\.png, of 2033-05-18/;
    expect(check(found, now)).toThrow(usage(fact, /^go on with --no-strict where they were only copied or touched/));
    expect(check({ ...found, content: 'x' }, now)).toThrow(usage(fact, /^give --strict, which compares/));
    expect(check(found, now, false)).not.toThrow();
    expect(check(found, found)).not.toThrow();
    expect(check(found, now, true)).toThrow(usage(/no hash of the images/, /^leave out --strict$/));
  });

  it('are others where a size differs, or two files were exchanged', async () => {
    const [edited, exchanged] = [copyOf(photos), copyOf(photos)];
    const file = join(edited, 'across', '0.png');
    writeFileSync(file, Buffer.concat([readFileSync(file), Buffer.of(0)]));
    const found = await stampOf(photos, 'small');
    const size = (more: number): string => `${found.bytes + more} bytes in 12 files`;
    const fact = new RegExp(`others than the training began with: ${size(0)}, now ${size(1)}; the newest file is `);
    for (const isStrict of [undefined, true, false]) {
      expect(check(found, await stampOf(edited, 'small'), isStrict)).toThrow(usage(fact, /begin anew/));
    }
    const [one, other] = ['0.png', '1.png'].map((name) => join(exchanged, 'along', name)) as [string, string];
    renameSync(one, `${one}.old`);
    renameSync(other, one);
    renameSync(`${one}.old`, other);
    expect(check(found, await stampOf(exchanged, 'small'))).toThrow(usage(/others than the training began with/, /./));
  });

  it('are others where what is in them differs at the same size and time', async () => {
    const edited = copyOf(photos);
    const file = join(edited, 'across', '0.png');
    const bytes = readFileSync(file);
    bytes[bytes.length - 20]! ^= 1;
    writeFileSync(file, bytes);
    touch(edited);
    const found = await stampOf(photos, 'small');
    const now = await stampOf(edited, 'small');
    expect(found.sizes).toBe(now.sizes);
    expect(check(found, { ...now, times: found.times })).toThrow(usage(/what is in them is not/, /begin anew/));
    expect(check(found, now, false)).not.toThrow();
  });

  it('are not compared where a checkpoint of an earlier version has no stamp', async () => {
    const now = await stampOf(photos, 'small');
    expect(check(undefined, now)).not.toThrow();
    expect(check(undefined, now, true)).toThrow(usage(/no hash of the images/, /leave out --strict/));
  });

  it('are looked at in files that hold many', async () => {
    const pack = join(folder, 'pack');
    expect(run('data', 'pack', photos, '-o', pack).code).toBe(0);
    const stamp = await stampOf(pack, 'small');
    expect(stamp.files).toBe(1);
    expect(stamp.content).toBe((await stampOf(pack, 'always')).content);
  });
});

describe('lowrank train --resume', () => {
  const words = (data: string, output: string, ...more: readonly string[]): string[] => [
    ...['train', model, '--data', data, '-o', output, '--epochs', '1', '--batch-size', '4', '--threads', '1'],
    ...['--workers', '0', '--quiet', ...more],
  ];
  const started = (data: string, ...more: readonly string[]): ((...options: readonly string[]) => Outcome) => {
    const output = join(folder, `trained-${++copies}.onnx`);
    const first = run(...words(data, output, ...more));
    expect(first.stderr).toBe('');
    return (...options) => run(...words(data, output, '--resume', ...options));
  };

  it('goes on with touched images, and refuses changed ones', () => {
    const data = copyOf(photos);
    const resume = started(data);
    touch(data);
    expect(resume()).toMatchObject({ code: 0, stderr: '' });
    expect(resume('--strict')).toMatchObject({ code: 0, stderr: '' });
    cpSync(join(data, 'across', '1.png'), join(data, 'across', '0.png'));
    const line =
      /the images are others than the training began with: .*; train with the images as they were, or begin anew/;
    expectFailure(resume(), 'USAGE', line, 2);
  });

  it('knows what is in them by --strict, and their sizes alone by --no-strict', () => {
    const data = copyOf(photos);
    const resume = started(data, '--no-strict');
    expectFailure(resume('--strict'), 'USAGE', /no hash of the images: .*; leave out --strict$/m, 2);
    touch(data);
    // The checkpoint knows that it was begun so.
    expect(resume()).toMatchObject({ code: 0, stderr: '' });
    expect(resume('--no-strict')).toMatchObject({ code: 0, stderr: '' });
  });

  it('goes on from checkpoints of earlier versions', () => {
    const output = join(folder, 'old.onnx');
    expect(run(...words(photos, output)).code).toBe(0);
    for (const name of readdirSync(`${output}.checkpoints`)) {
      const path = join(`${output}.checkpoints`, name, 'state.json');
      const state = JSON.parse(readFileSync(path, 'utf8')) as {
        identity: { images?: DataStamp; settings: Record<string, unknown> };
        checksum?: string;
      };
      delete state.checksum;
      delete state.identity.images;
      for (const key of ['cudaGraphs', 'tie', 'trainAlso']) delete state.identity.settings[key];
      writeFileSync(path, JSON.stringify(state));
    }
    rmSync(output);
    expect(run(...words(photos, output, '--resume'))).toMatchObject({ code: 0, stderr: '' });
    expectFailure(run(...words(photos, output, '--resume', '--strict')), 'USAGE', /no hash of the images/, 2);
  });
});
