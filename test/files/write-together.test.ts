import { spawnSync } from 'node:child_process';
import { linkSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readModel } from '../../src/graph/read.js';
import { stageModel, writeModel } from '../../src/graph/write.js';
import { temporaryName } from '../../src/files/temporary.js';
import { stageFolder } from '../../src/files/write-folder.js';
import { failureOf } from '../support/errors.js';
import { freshFolderForEach } from '../support/fresh-folder.js';
import { tinyClassifier } from '../support/tiny-classifier.js';

let folder = '';
freshFolderForEach((fresh) => (folder = fresh));

const external = { dataLocation: 'external', force: true } as const;
const model = (seed: number) => readModel(tinyClassifier({ seed }));
const path = (): string => join(folder, 'm.onnx');
const names = (): string[] => readdirSync(folder).sort();

/** What was left is that of a process that has ended now. */
function abandon(): void {
  const { pid } = spawnSync('true');
  for (const name of names()) {
    if (name.startsWith('.'))
      renameSync(join(folder, name), join(folder, name.replace(`-${process.pid}-`, `-${pid}-`)));
  }
}

/** The numbers of the model at the path, which must be whole. */
function weights(): number[] {
  const read = readModel(path());
  try {
    return [...read.graph.value('fc.weight')!.tensor!.toFloat32()];
  } finally {
    read.file?.close();
  }
}

const own = (seed: number): number[] => [...model(seed).graph.value('fc.weight')!.tensor!.toFloat32()];

describe('a model and its data', () => {
  it('appear together, after the model was verified where it was staged', () => {
    const staged = stageModel(model(1), path(), external);
    expect(names().filter((name) => !name.startsWith('.'))).toEqual([]);
    const again = readModel(staged.temporaryPath);
    expect([...again.graph.value('fc.weight')!.tensor!.toFloat32()]).toEqual(own(1));
    again.file?.close();
    staged.commit();
    expect(names()).toEqual(['m.onnx', 'm.onnx.data']);
    expect(weights()).toEqual(own(1));
  });

  it('stay as they were where the new ones are given up', () => {
    writeModel(model(1), path(), external);
    stageModel(model(2), path(), external).discard();
    expect(names()).toEqual(['m.onnx', 'm.onnx.data']);
    expect(weights()).toEqual(own(1));
  });

  it('killed before they have their names, between the two, and behind them: whole, and the next one tidies up', () => {
    for (const moment of ['before', 'between', 'behind'] as const) {
      rmSync(folder, { recursive: true });
      mkdirSync(folder);
      writeModel(model(1), path(), external);
      const staged = stageModel(model(2), path(), external);
      const staging = join(
        folder,
        names().find((name) => name.startsWith('.'))!,
      );
      // What `commit` does, up to the moment.
      if (moment !== 'before') {
        linkSync(join(folder, 'm.onnx.data'), join(staging, 'replaced-m.onnx.data'));
        linkSync(staged.temporaryDataPath!, join(folder, 'm.onnx.1.data'));
      }
      if (moment === 'behind') renameSync(staged.temporaryPath, path());
      abandon();
      expect(weights()).toEqual(own(moment === 'behind' ? 2 : 1));
      const third = stageModel(model(3), path(), external);
      const left = moment === 'behind' ? ['m.onnx', 'm.onnx.1.data'] : ['m.onnx', 'm.onnx.data'];
      expect(names().filter((name) => !name.startsWith('.'))).toEqual(left);
      third.commit();
      expect(names()).toHaveLength(2);
      expect(weights()).toEqual(own(3));
    }
  });

  it('take nothing away that looks like theirs', async () => {
    writeFileSync(join(folder, 'm.onnx.data'), 'mine');
    const staged = stageModel(model(1), path(), external);
    abandon();
    writeModel(model(2), path(), external);
    expect(readFileSync(join(folder, 'm.onnx.data'), 'utf8')).toBe('mine');
    expect(names()).toEqual(['m.onnx', 'm.onnx.1.data', 'm.onnx.data']);
    await failureOf('OUTPUT', () => staged.commit());
    expect(weights()).toEqual(own(2));
  });

  it('a name that came meanwhile is no data file of theirs', async () => {
    const staged = stageModel(model(1), path(), external);
    writeFileSync(join(folder, 'm.onnx.data'), 'mine');
    await failureOf('OUTPUT', () => staged.commit());
    staged.discard();
    expect(names()).toEqual(['m.onnx.data']);
  });
});

describe('a folder that is replaced', () => {
  const options = { force: true, files: ['a'] } as const;
  const put = (text: string): void => {
    const staged = stageFolder(join(folder, 'out'), options);
    writeFileSync(join(staged.temporaryPath, 'a'), text);
    staged.commit();
  };

  it('is found again where the process was killed between the two renames', async () => {
    put('old');
    renameSync(join(folder, 'out'), temporaryName(join(folder, 'out'), 'old'));
    mkdirSync(temporaryName(join(folder, 'out')));
    abandon();
    await failureOf('OUTPUT', () => stageFolder(join(folder, 'out'), { ...options, force: false }));
    expect(readFileSync(join(folder, 'out/a'), 'utf8')).toBe('old');
    put('new');
    expect(names()).toEqual(['out']);
    expect(readFileSync(join(folder, 'out/a'), 'utf8')).toBe('new');
  });

  it('goes away where the process was killed behind them', () => {
    put('new');
    const aside = temporaryName(join(folder, 'out'), 'old');
    mkdirSync(aside);
    abandon();
    stageFolder(join(folder, 'out'), options).discard();
    expect(names()).toEqual(['out']);
  });
});
