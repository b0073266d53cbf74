import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { multiHotLabels } from '../../src/data/multi-hot.js';
import { openSource } from '../../src/data/open.js';
import { createTar } from '../../src/data/tar-write.js';
import { readModel } from '../../src/graph/read.js';
import { endOfModel } from '../../src/passes/classifier-end.js';
import type { TrainReport } from '../../src/contracts/train.js';
import { expectFailure, run, temporaryFolder } from '../support/command.js';
import { tinyClassifier } from '../support/tiny-classifier.js';

const folder = temporaryFolder();

/** Images that are red, green and blue or not: class k is there where channel k is bright. */
async function shard(name: string, label: (row: readonly number[]) => string, extension: string): Promise<string> {
  const place = join(folder, name);
  mkdirSync(place, { recursive: true });
  const tar = await createTar(join(place, 'shard-000000.tar'));
  for (let i = 0; i < 32; i++) {
    const row = [i & 1, (i >> 1) & 1, (i >> 2) & 1];
    const [r, g, b] = row.map((bit) => (bit === 1 ? 220 : 30)) as [number, number, number];
    const png = await sharp({ create: { width: 16, height: 16, channels: 3, background: { r, g, b } } })
      .png()
      .toBuffer();
    const key = String(i).padStart(4, '0');
    await tar.add(`${key}.png`, png);
    await tar.add(`${key}.${extension}`, Buffer.from(label(row)));
  }
  await tar.commit();
  return place;
}

const asJson = (row: readonly number[]): string => JSON.stringify({ label: row });

describe('labels of several classes', () => {
  it.each([
    [
      [
        [0, 1],
        [1, 1],
      ],
      [
        [0, 1],
        [1, 1],
      ],
    ],
    [
      ['[0, 1, 0]', '(1,1,1)'],
      [
        [0, 1, 0],
        [1, 1, 1],
      ],
    ],
    [
      ['0 1 0', '1 0 0'],
      [
        [0, 1, 0],
        [1, 0, 0],
      ],
    ],
    [
      [
        [0n, 1n],
        [true, false],
      ],
      [
        [0, 1],
        [1, 0],
      ],
    ],
    [[[0, 1], [1]], undefined],
    [
      [
        [0, 2],
        [1, 1],
      ],
      undefined,
    ],
    [['0', '1'], undefined],
    [['[1]', '[0]'], undefined],
    [['cat', '0 1'], undefined],
  ])('%#', (values, rows) => {
    expect(multiHotLabels(values, undefined, 'here')?.targets.map((row) => Array.from(row))).toEqual(rows);
  });

  it('a class list must name each number', () => {
    expect(() => multiHotLabels([[0, 1]], { ids: ['a'], titles: ['a'] }, 'here')).toThrow(
      /2 classes, and the class list has 1/,
    );
  });

  it.each([
    ['json', asJson],
    ['cls', (row: readonly number[]) => JSON.stringify(row)],
  ])('of WebDataset, .%s', async (extension, label) => {
    const source = await openSource(await shard(`labels-${extension}`, label, extension));
    expect(source.classes).toHaveLength(3);
    expect([...source.targets!(5)]).toEqual([1, 0, 1]);
    expect([source.label(5), source.label(6), source.label(0)]).toEqual([0, 1, 0]);
    await source.close();
  });

  it('are trained with binary cross-entropy, evaluated so, and refused where a model tells one class', async () => {
    const photos = await shard('photos', asJson, 'json');
    const model = join(folder, 'model.onnx');
    writeFileSync(model, tinyClassifier());
    const output = join(folder, 'trained.onnx');
    const words = ['train', model, '-o', output, '--data', photos, '--val', photos, '--normalization', 'symmetric'];
    const settings = ['--augment', 'none', '--batch-size', '8', '--lr', '0.1', '--epochs', '8', '--warmup', '0'];
    expectFailure(
      run(...words, ...settings),
      'UNSUPPORTED',
      /several classes each, and the model tells one.*--new-head/,
    );
    const outcome = run(...words, ...settings, '--new-head', '--json', '--quiet');
    expect(outcome.code, outcome.stderr).toBe(0);
    expect(endOfModel(readModel(output)).kind).toBe('sigmoid');
    const report = JSON.parse(outcome.stdout) as TrainReport;
    expect(report.warnings.join()).toMatch(/Sigmoid: images have several classes each/);
    const last = report.written!;
    // Guessing is log 2 = 0.69; one of the eight colors has no class, so that 7/8 is the best there is.
    expect(last.valLoss!).toBeLessThan(0.45);
    expect(last.valTop1!).toBeGreaterThan(0.8);
    const evaluated = run('eval', output, '--data', photos, '--normalization', 'symmetric', '--json', '--quiet');
    expect(evaluated.code, evaluated.stderr).toBe(0);
    const { loss, top1 } = JSON.parse(evaluated.stdout) as { loss: number; top1: number };
    expect(loss).toBeCloseTo(last.valLoss!, 4);
    expect(top1).toBe(last.valTop1!);
    expectFailure(run('eval', model, '--data', photos, '--quiet'), 'UNSUPPORTED', /several classes each/);
    expectFailure(run('data', 'pack', photos, '-o', join(folder, 'pack')), 'UNSUPPORTED', /several classes each/);
  });
});
