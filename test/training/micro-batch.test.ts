import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { createTrainProgress } from '../../src/report/train-progress.js';
import type { TrainReport } from '../../src/contracts/train.js';
import { train } from '../../src/training/loop.js';
import { sizesToTry } from '../../src/training/micro-batch.js';
import type { TrainOptions, TrainSettings } from '../../src/training/options.js';
import { temporaryFolder } from '../support/command.js';
import { failureOf } from '../support/errors.js';
import type { TestInitializer, TestNode } from '../support/models.js';
import { tinyClassifier, writeTextures } from '../support/tiny-classifier.js';

const folder = temporaryFolder();
const data = join(folder, 'photos');
const model = join(folder, 'model.onnx');
const shared = { epochs: 1, lr: 0.05, batchSize: 12, workers: 0, threads: 1, target: 'portable' } as const;
const notes: string[] = [];
const progress = {
  ...createTrainProgress({ stream: process.stderr, enabled: false }),
  note: (line: string) => void notes.push(line),
};

beforeAll(async () => {
  await writeTextures(join(data, 'train'), 24, 1);
  writeFileSync(model, tinyClassifier());
});

let runs = 0;
async function run(
  settings: Partial<TrainSettings>,
  options: Partial<TrainOptions> = {},
): Promise<{ readonly report: TrainReport; readonly output: string }> {
  const output = join(folder, `trained-${++runs}.onnx`);
  notes.length = 0;
  const report = await train({ model, output, data, progress, ...options, settings: { ...shared, ...settings } });
  return { report, output: options.output ?? output };
}

/** The n⁹ products of nine means of the batch, added as their mean: memory grows with the ninth power of the batch. */
function hungry(): Uint8Array {
  const axes = [0, 1, 2, 3, 4, 5, 6, 7, 8];
  const initializers: TestInitializer[] = axes.map((axis) => ({
    ...{ name: `shape${axis}`, type: 'int64', dims: [9] },
    data: BigInt64Array.from(axes, (other) => (other === axis ? -1n : 1n)),
  }));
  initializers.push({ name: 'image', type: 'int64', dims: [4], data: BigInt64Array.of(-1n, 1n, 1n, 1n) });
  const mean = (input: string, over: readonly number[], output: string): TestNode => {
    const name = `${output}.axes`;
    initializers.push({ name, type: 'int64', dims: [over.length], data: BigInt64Array.from(over, BigInt) });
    return { op: 'ReduceMean', inputs: [input, name], outputs: [output], name: output, attributes: { keepdims: 0 } };
  };
  /** The product of some views, one after the other. */
  const chain = (name: string, some: readonly number[]): TestNode[] =>
    some.slice(1).map((axis, i) => ({
      op: 'Mul',
      inputs: [i === 0 ? `view${some[0]!}` : `${name}${i}`, `view${axis}`],
      outputs: [i === some.length - 2 ? name : `${name}${i + 1}`],
    }));
  const nodes: TestNode[] = [
    mean('block2.relu', [1, 2, 3], 'means'),
    ...axes.map((axis): TestNode => ({ op: 'Reshape', inputs: ['means', `shape${axis}`], outputs: [`view${axis}`] })),
    ...chain('left', [0, 1, 2, 3]),
    ...chain('right', [4, 5, 6, 7, 8]),
    { op: 'Mul', inputs: ['left', 'right'], outputs: ['products'] },
    mean('products', axes.slice(1), 'all'),
    { op: 'Reshape', inputs: ['all', 'image'], outputs: ['wide'] },
    { op: 'Add', inputs: ['block2.relu', 'wide'], outputs: ['inserted'], name: 'inserted' },
  ];
  return tinyClassifier({ inserted: { nodes, initializers } });
}

describe('--micro-batch', () => {
  it('tries the batch, then the largest divisors of at most half', () => {
    expect(sizesToTry(256)).toEqual([256, 128, 64, 32, 16, 8, 4, 2, 1]);
    expect(sizesToTry(36)).toEqual([36, 18, 9, 4, 2, 1]);
    expect(sizesToTry(15)).toEqual([15, 5, 1]);
    expect(sizesToTry(7)).toEqual([7, 1]);
    expect(sizesToTry(1)).toEqual([1]);
  });

  it('n is the same training as batches of n, accumulated', async () => {
    const expected = await run({ batchSize: 4, accumulate: 3 });
    const actual = await run({ microBatch: 4 });
    expect(actual.report.settings).toMatchObject({ batchSize: 4, accumulate: 3, microBatch: 4 });
    expect(readFileSync(actual.output).equals(readFileSync(expected.output))).toBe(true);
    const twice = await run({ batchSize: 6, accumulate: 2, microBatch: 2 });
    expect(twice.report.settings).toMatchObject({ batchSize: 2, accumulate: 6 });
  });

  it('auto is the whole batch where that fits, and trains as without it', async () => {
    const expected = await run({});
    const actual = await run({ microBatch: 'auto' });
    expect(actual.report.settings).toMatchObject({ batchSize: 12, accumulate: 1 });
    expect(notes[0]).toBe('micro-batch: 12 of 12 images a run, 1 runs an update');
    expect(readFileSync(actual.output).equals(readFileSync(expected.output))).toBe(true);
  });

  it('auto finds the largest that fits, by running out of memory, and goes on with it', async () => {
    const path = join(folder, 'hungry.onnx');
    writeFileSync(path, hungry());
    // 15⁹ numbers are 154 GB, 5⁹ are 8 MB.
    const settings = { batchSize: 15, microBatch: 'auto' } as const;
    const { report, output } = await run({ ...settings, epochs: 1 }, { model: path });
    expect(report).toMatchObject({ status: 'finished', settings: { batchSize: 5, accumulate: 3 } });
    expect(notes[0]).toBe('micro-batch: 15 images a run do not fit into memory');
    expect(notes[1]).toBe('micro-batch: 5 of 15 images a run, 3 runs an update');
    // Resumed, it asks the checkpoint and not the memory.
    const same = await run({ ...settings, epochs: 1 }, { model: path, output, resume: true });
    expect(same.report.settings).toMatchObject({ batchSize: 5, accumulate: 3 });
    expect(notes.filter((note) => note.startsWith('micro-batch'))).toEqual([]);
    const failure = await failureOf('RUNTIME', () => run({ batchSize: 15 }, { model: path }));
    expect(failure.message).toMatch(/^out of memory: .*; give --micro-batch auto, or lower --batch-size/);
  });

  it('refuses what does not divide the batch', async () => {
    const failure = await failureOf('USAGE', () => run({ microBatch: 5 }));
    expect(failure.message).toBe(
      'a batch of 12 images is no whole number of runs of 5; --micro-batch; choose one of 1, 2, 3, 4, 6, 12',
    );
  });
});
