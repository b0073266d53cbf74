import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { TrainReport } from '../../src/contracts/train.js';
import { readSafetensors } from '../../src/files/safetensors.js';
import { readModel } from '../../src/graph/read.js';
import { createTrainProgress, type TrainStep } from '../../src/report/train-progress.js';
import { readPairs } from '../../src/rewrite/pairs.js';
import { train as trainAlone } from '../../src/training/loop.js';
import type { TrainOptions, TrainSettings } from '../../src/training/options.js';
import type { ThenOptions } from '../../src/warmup/then.js';
import { train } from '../../src/warmup/train.js';
import { temporaryFolder } from '../support/command.js';
import { failureOf } from '../support/errors.js';
import { tinyClassifier, writeTextures } from '../support/tiny-classifier.js';

const folder = temporaryFolder();
const data = join(folder, 'photos');
const model = join(folder, 'model.onnx');
const half = { rankScale: 0.5, scheme: 'channel', init: 'spectral' } as const satisfies ThenOptions;
/** 36 images: 3 updates an epoch. */
const settings: Partial<TrainSettings> = {
  ...{ epochs: 4, batchSize: 12, lr: 0.02, augment: 'none', workers: 0, threads: 1, keepCheckpoints: 99 },
  ...{ warmupFull: 2, conversion: half },
};

const outputOf = (name: string): string => join(folder, name, 'trained.onnx');

interface Noted {
  readonly report: TrainReport;
  readonly notes: readonly string[];
}

async function run(
  name: string,
  more: Partial<TrainOptions> = {},
  step: (step: TrainStep) => void = () => undefined,
  validating: () => void = () => undefined,
): Promise<Noted> {
  mkdirSync(join(folder, name), { recursive: true });
  const notes: string[] = [];
  const progress = {
    ...createTrainProgress({ stream: process.stderr, enabled: false }),
    note: (line: string) => void notes.push(line),
    step,
    validating,
  };
  const report = await train({
    model,
    output: outputOf(name),
    data,
    validatesStart: false,
    settings,
    progress,
    ...more,
  });
  return { report, notes };
}

/** Stopped where `isThere` says it, and gone on with. */
async function stopped(name: string, isThere: (step: TrainStep) => boolean, own = settings): Promise<TrainReport> {
  const controller = new AbortController();
  const { report } = await run(name, { settings: own, signal: controller.signal }, (step) => {
    if (isThere(step)) controller.abort();
  });
  expect(report.status).toBe('interrupted');
  return (await run(name, { settings: {}, resume: true })).report;
}

const lastState = (name: string, step: number): ReadonlyMap<string, { readonly data: unknown }> =>
  readSafetensors(join(`${outputOf(name)}.checkpoints`, `step-${String(step).padStart(9, '0')}`, 'state.safetensors'))
    .tensors;

/** Written models and the vectors of the last checkpoint, bit for bit. */
function expectSame(name: string, other: string, step = 12): void {
  expect(readFileSync(outputOf(name)).equals(readFileSync(outputOf(other)))).toBe(true);
  for (const [vector, { data: numbers }] of lastState(other, step)) {
    expect(lastState(name, step).get(vector)!.data, vector).toEqual(numbers);
  }
}

const timeless = (report: TrainReport): unknown => ({
  conversion: report.conversion,
  written: report.written,
  losses: report.epochs.map(({ loss, lr, valLoss }) => [loss, lr, valLoss]),
});

beforeAll(async () => {
  await writeTextures(data, 12, 1);
  writeFileSync(model, tinyClassifier());
});

describe('epochs in full rank, then pairs', () => {
  let whole: Noted;
  beforeAll(async () => {
    whole = await run('whole', { val: data });
  });

  it('converts the model behind the epoch that was named, and says so in its log and its report', () => {
    const { report, notes } = whole;
    const { conversion } = report;
    expect(conversion).toMatchObject({ epoch: 2, kept: 2, params: { before: 2627 } });
    expect(conversion!.layers.map(({ name, scheme, rank }) => [name, scheme, rank])).toEqual(
      ['block1.conv1', 'block1.conv2', 'block2.conv1', 'block2.conv2'].map((name) => [name, 'channel', 4]),
    );
    expect(conversion!.params.after).toBeLessThan(conversion!.params.before);
    expect(notes.filter((line) => line.includes('converted'))).toEqual([
      expect.stringMatching(
        /^epoch 2: converted: 4 layers, parameters .+ → .+, MACs .+ → .+, val loss .+ → .+, val top-1 /,
      ),
    ]);
    expect(report.epochs.map(({ epoch, steps }) => [epoch, steps])).toEqual([
      [1, 3],
      [2, 6],
      [3, 9],
      [4, 12],
    ]);
    // One schedule: cosine over all twelve updates.
    for (const { lr, steps } of report.epochs) {
      expect(lr).toBeCloseTo((0.02 * (1 + Math.cos((Math.PI * (steps - 1)) / 12))) / 2, 12);
    }
    expect(conversion!.before!.valLoss).toBe(report.epochs[1]!.valLoss);
    expect(report.model).toMatchObject({ path: model });
    expect(report.settings).toMatchObject({ warmupFull: 2, conversion: half, frobeniusDecay: 1e-4 });
  });

  it('writes an ordinary factorized model: of the best of the epochs that trained pairs', () => {
    const { report } = whole;
    const written = readModel(outputOf('whole'));
    expect(readPairs(written).map(({ rank }) => rank)).toEqual([4, 4, 4, 4]);
    written.file?.close();
    expect([3, 4]).toContain(report.written!.epoch);
    expect([3, 4]).toContain(report.best!.epoch);
  });

  it.each([
    ['in full rank', ({ epoch, step }: TrainStep) => epoch === 1 && step === 2],
    ['at the end of full rank', ({ epoch, step }: TrainStep) => epoch === 2 && step === 3],
    ['as pairs', ({ epoch, step }: TrainStep) => epoch === 3 && step === 2],
  ])('goes on to the same bytes where it was stopped %s', async (name, isThere) => {
    const controller = new AbortController();
    const { report } = await run(name, { val: data, signal: controller.signal }, (step) => {
      if (isThere(step)) controller.abort();
    });
    expect(report.status).toBe('interrupted');
    const { report: resumed } = await run(name, { settings: {}, resume: true });
    expect(resumed.status).toBe('finished');
    expectSame(name, 'whole');
    expect(timeless(resumed)).toEqual(timeless(whole.report));
  });

  it('goes on from behind the last epoch in full rank to the same bytes', async () => {
    const controller = new AbortController();
    await run('border', {
      val: data,
      signal: controller.signal,
      onEpoch: ({ epoch }) => epoch === 2 && controller.abort(),
    });
    expect(existsSync(join(`${outputOf('border')}.checkpoints`, 'pairs.onnx'))).toBe(false);
    await run('border', { settings: {}, resume: true });
    expectSame('border', 'whole');
  });

  it('goes on to the same bytes where it was stopped before it was known what the pairs do', async () => {
    const controller = new AbortController();
    const { report } = await run('measured', { val: data, signal: controller.signal }, undefined, () => {
      if (existsSync(join(`${outputOf('measured')}.checkpoints`, 'pairs.onnx'))) controller.abort();
    });
    expect(report).toMatchObject({ status: 'interrupted', checkpoint: { epoch: 2 } });
    const { report: resumed } = await run('measured', { settings: {}, resume: true });
    expectSame('measured', 'whole');
    expect(timeless(resumed)).toEqual(timeless(whole.report));
  });

  it('says where the model of pairs is gone', async () => {
    const pairs = join(`${outputOf('as pairs')}.checkpoints`, 'pairs.onnx');
    rmSync(pairs);
    const { fact, place } = await failureOf('INPUT', () => run('as pairs', { settings: { epochs: 5 }, resume: true }));
    expect([fact, place]).toEqual(['the model of pairs that the training goes on with is gone', pairs]);
  });
});

describe('at full rank', () => {
  it.each([['spectral' as const], [undefined]])('with the init %s nothing jumps', async (init) => {
    const conversion: ThenOptions = { rankScale: 1, allowBigger: true, ...(init === undefined ? {} : { init }) };
    const own = { ...settings, epochs: 3, optimizer: 'adam', lr: 0.003, conversion } as const;
    const { report } = await run(`full ${init}`, { val: data, settings: own });
    const { before, after, layers } = report.conversion!;
    expect(layers).toHaveLength(4);
    expect(Math.abs(after!.valLoss! - before!.valLoss!)).toBeLessThan(1e-4);
    const [, second, third] = report.epochs;
    expect(third!.loss).toBeLessThan(1.2 * second!.loss);
  });
});

describe('until the stable ranks have settled', () => {
  const auto: Partial<TrainSettings> = {
    ...settings,
    epochs: 8,
    warmupFull: 'auto',
    conversion: null,
    lr: 0.05,
    frobeniusDecay: 0.01,
  };
  let whole: Noted;
  beforeAll(async () => {
    whole = await run('auto', { settings: auto });
  });

  it('ends by itself, with ranks that they say', () => {
    const { conversion } = whole.report;
    expect(whole.report.settings).toMatchObject({ warmupFull: 'auto', frobeniusDecay: 0.01 });
    const { stableRanks = [], epoch, layers } = conversion!;
    expect(stableRanks.map(({ name }) => name)).toEqual([
      'block1.conv1',
      'block1.conv2',
      'block2.conv1',
      'block2.conv2',
    ]);
    for (const { start, epochs, maxRank, settled } of stableRanks) {
      expect(epochs).toHaveLength(epoch);
      expect(start).toBeGreaterThan(1);
      expect(start).toBeLessThanOrEqual(maxRank);
      expect(settled).toBeLessThan(epoch);
    }
    expect(epoch).toBe(Math.max(...stableRanks.map(({ settled }) => settled!)) + 1);
    for (const { name, rank, scheme } of layers) {
      const { start, epochs, maxRank } = stableRanks.find((each) => each.name === name)!;
      expect([rank, scheme]).toEqual([Math.min(maxRank, Math.ceil((maxRank / start) * epochs.at(-1)!)), 'channel']);
    }
    expect(whole.notes.some((line) => /stable rank settled in \d of 4 layers/.test(line))).toBe(true);
  });

  it.each([
    ['before', ({ epoch, step }: TrainStep) => epoch === 2 && step === 1],
    ['behind', ({ epoch, step }: TrainStep) => epoch === 7 && step === 1],
  ])('goes on to the same bytes where it was stopped %s that', async (name, isThere) => {
    const resumed = await stopped(`auto ${name}`, isThere, auto);
    expectSame(`auto ${name}`, 'auto', 24);
    expect(timeless(resumed)).toEqual(timeless(whole.report));
  });
});

describe('what cannot begin in full rank', () => {
  it.each<[string, Partial<TrainSettings>, RegExp]>([
    ['no epochs for pairs', { warmupFull: 4 }, /^of 4 epochs --warmup-full 4 leaves none for the pairs/],
    ['one epoch alone', { warmupFull: 'auto', epochs: 1 }, /^of 1 epoch --warmup-full auto leaves none/],
    [
      'a conversion alone',
      { warmupFull: null },
      /^--then says what comes behind epochs in full rank, and there are none/,
    ],
    ['half an epoch', { warmupFull: 0.5 }, /^--warmup-full is 0.5/],
    ['inserted layers', { insertBn: true }, /^--insert-bn /],
    ['unknown options', { conversion: { rankscale: 1 } }, /^there is no option 'rankscale'/],
    ['options at odds', { conversion: { rankScale: 1, energy: 0.9 } }, /contradict each other/],
  ])('%s', async (name, own, message) => {
    const { message: said } = await failureOf('USAGE', () => run(name, { settings: { ...settings, ...own } }));
    expect(said).toMatch(message);
    expect(existsSync(`${outputOf(name)}.checkpoints`)).toBe(false);
  });

  it('the loop alone, which converts nothing', async () => {
    mkdirSync(join(folder, 'alone'));
    const { place } = await failureOf('USAGE', () => trainAlone({ model, output: outputOf('alone'), data, settings }));
    expect(place).toBe('--warmup-full');
  });

  it.each<[string, ThenOptions]>([
    ['no layer', { exclude: ['block*'] }],
    ['ranks that save nothing', { rankScale: 1 }],
    ['ranks that keep all', { ranks: { 'block1.conv1': 'keep' } }],
  ])('a model with %s to convert, before anything is trained', async (name, conversion) => {
    const { fact } = await failureOf('UNSUPPORTED', () => run(name, { settings: { ...settings, conversion } }));
    expect(fact).toBe('no layer of the model would become a pair behind its epochs in full rank');
    expect(existsSync(`${outputOf(name)}.checkpoints`)).toBe(false);
  });
});
