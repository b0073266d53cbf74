import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { RecoverExplainReport, RecoverReport } from '../../src/contracts/recover.js';
import { explainRecovery } from '../../src/recover/explain.js';
import { recover } from '../../src/recover/recover.js';
import { expectFailure, run, temporaryFolder } from '../support/command.js';
import { disturbed } from '../support/disturbed.js';
import { faultOf } from '../support/schemas.js';
import { tinyClassifier, writeTextures } from '../support/tiny-classifier.js';

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
const photos = at('photos');
const [teacher, student] = [at('teacher.onnx'), at('student.onnx')];
const settings = { normalization: 'unit', steps: 40, batchSize: 8, lr: 0.003, threads: 1 } as const;

const train = (...words: readonly string[]) =>
  run('train', student, '--teacher', teacher, '--data', photos, '--normalization', 'unit', ...words);
const recovered = (...words: readonly string[]): RecoverReport => {
  const { code, stdout, stderr } = train('--json', '--steps', '40', '--batch-size', '8', ...words);
  expect(code, stderr).toBe(0);
  const report = JSON.parse(stdout) as RecoverReport;
  expect(faultOf(report)).toBe(undefined);
  return report;
};

beforeAll(async () => {
  await writeTextures(photos, 20, 5);
  writeFileSync(teacher, tinyClassifier({ seed: 1 }));
  writeFileSync(student, disturbed(tinyClassifier({ seed: 1 }), 0.1));
});

describe('--recover-by', () => {
  it('blocks: each comes closer to that of the teacher, and so does the whole', () => {
    const { start, blocks, behindBlocks, written, evaluations, rate, status } = recovered(
      ...['--recover-by', 'blocks', '-o', at('blocks.onnx')],
    );
    expect(blocks!.map(({ name }) => name)).toEqual(['block1.relu', 'y']);
    for (const block of blocks!) expect(block.written).toBeLessThan(0.7 * block.start);
    expect(behindBlocks!.loss).toBeLessThan(0.7 * start.loss);
    expect(written).toMatchObject({ loss: behindBlocks!.loss });
    expect([evaluations.length, rate.from, rate.lr, status]).toEqual([0, 'usual', 0.001, 'finished']);
  });

  it('both: the whole goes on from where the blocks came to', () => {
    const { behindBlocks, evaluations, written } = recovered(
      '--recover-by',
      'both',
      '-o',
      at('both.onnx'),
      '--lr',
      '0.003',
    );
    expect(evaluations.length).toBeGreaterThan(0);
    expect(written!.loss).toBeLessThan(behindBlocks!.loss);
  });

  it('writes the same bytes again with the same seed', () => {
    const words = ['--recover-by', 'blocks', '--lr', '0.003', '--threads', '1'];
    for (const name of ['one.onnx', 'two.onnx']) recovered(...words, '-o', at(name));
    expect(readFileSync(at('one.onnx'))).toEqual(readFileSync(at('two.onnx')));
  });

  it('keeps a block where nothing comes closer, and a model that is its teacher', () => {
    const worse = ['--steps', '6', '--batch-size', '8', '--lr', '30', '-o', at('worse.onnx')];
    expect(train('--recover-by', 'blocks', ...worse).stderr).toMatch(
      /block 1\/2 'block1\.relu': loss .* stays as it is/,
    );
    const same = recovered('--recover-by', 'blocks', '--teacher', student, '-o', at('same.onnx'));
    expect(same.blocks!.map(({ step }) => step)).toEqual([0, 0]);
    expect(same.written!.step).toBe(0);
  });

  it('interrupted, writes what the blocks so far came to', async () => {
    const stop = new AbortController();
    const note = (line: string): void => {
      if (line.startsWith('block 1/2')) stop.abort();
    };
    const nothing = (): void => undefined;
    const progress = { step: nothing, validating: nothing, epoch: nothing, done: nothing, note };
    const output = at('interrupted.onnx');
    const call = { model: student, teacher, data: photos, output, signal: stop.signal, progress };
    const { status, blocks, written, start } = await recover({
      ...call,
      settings: { ...settings, recoverBy: 'blocks' },
    });
    expect([status, blocks!.length]).toEqual(['interrupted', 1]);
    expect(written!.loss).toBeLessThan(start.loss);
  });

  it('does not go with labels', () => {
    const words = ['--recover-by', 'blocks', '--label-weight', '1', '-o', at('none.onnx'), '--quiet'];
    expectFailure(train(...words), 'USAGE', /blocks learn from the teacher alone, without labels/, 2);
  });
});

describe('--teacher-runs once', () => {
  it('gives what the teacher gives in every update, where pictures are not changed', () => {
    const words = ['--augment', 'none', '--lr', '0.003', '--threads', '1'];
    const [always, once] = [
      recovered('-o', at('always.onnx'), '--teacher-runs', 'always', ...words),
      recovered('-o', at('once.onnx'), '--teacher-runs', 'once', ...words),
    ];
    expect([always.matching.teacher, once.matching.teacher]).toEqual(['in every update', 'once']);
    expect(once.matching.points).toEqual(always.matching.points);
    expect(once.start.loss).toBeCloseTo(always.start.loss, 4);
    expect(once.written!.loss).toBeCloseTo(always.written!.loss, 2);
    expect(once.written!.loss).toBeLessThan(0.5 * once.start.loss);
  });

  const explained = (maxMemory: number, teacherRuns: 'auto' | 'once' = 'auto'): Promise<RecoverExplainReport> => {
    const asked = { ...settings, teacherRuns };
    return explainRecovery({
      model: student,
      teacher,
      data: photos,
      output: at('none.onnx'),
      settings: asked,
      maxMemory,
    });
  };

  it('is chosen where the memory, in MiB, does not hold a batch of both', async () => {
    const tight = await explained(0.09);
    expect([tight.matching.teacher, tight.settings['augment']]).toEqual(['once', 'none']);
    expect((await explained(1)).matching.teacher).toBe('in every update');
  });

  it('leaves layers out of which the pictures do not fit into a quarter of it', async () => {
    const names = async (memory: number) => (await explained(memory, 'once')).matching.points.map(({ name }) => name);
    const all = await names(64);
    const some = await names(1);
    expect([all.length, await names(0.09)]).toEqual([7, ['y']]);
    expect(some.length).toBeLessThan(7);
    expect(some[0]).toBe(all[0]);
  });

  it('is said', () => {
    const { stdout } = train('--explain', '--teacher-runs', 'once');
    expect(stdout).toMatch(/^matched .*; the teacher runs once, before$/m);
  });

  it('does not go with pictures that are changed at random', () => {
    const words = ['--teacher-runs', 'once', '--augment', 'crop', '-o', at('none.onnx'), '--quiet'];
    expectFailure(train(...words), 'USAGE', /the teacher runs once, over pictures as they are, and --augment crop/, 2);
  });
});
