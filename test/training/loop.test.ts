import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { LowrankError } from '../../src/errors.js';
import { readModel } from '../../src/graph/read.js';
import { createTrainProgress } from '../../src/report/train-progress.js';
import type { TrainReport } from '../../src/contracts/train.js';
import { evaluateModel } from '../../src/evaluate/eval.js';
import { train } from '../../src/training/loop.js';
import { resumable } from '../../src/training/resume.js';
import { findLearningRate } from '../../src/training/lr-find.js';
import { fewUpdates } from '../../src/training/few-updates.js';
import { defaultTrainSettings, type TrainOptions, type TrainSettings } from '../../src/training/options.js';
import { readSafetensors } from '../../src/files/safetensors.js';
import { temporaryFolder } from '../support/command.js';
import { failureOf } from '../support/errors.js';
import { faultOf } from '../support/schemas.js';
import { tinyClassifier, writeTextures } from '../support/tiny-classifier.js';

const folder = temporaryFolder();
const data = join(folder, 'photos');
const model = join(folder, 'model.onnx');
/** 72 images; without BatchNormalization, whose statistics depend on the batch. */
const shared = { epochs: 1, lr: 0.05, augment: 'none', batchSize: 12, workers: 0, threads: 1 } as const;

beforeAll(async () => {
  await writeTextures(join(data, 'train'), 24, 1);
  writeFileSync(model, tinyClassifier({ hasNormalization: false }));
});

let runs = 0;
async function run(
  settings: Partial<TrainSettings>,
): Promise<{ readonly report: TrainReport; readonly output: string }> {
  const output = join(folder, `trained-${++runs}.onnx`);
  return { report: await train({ model, output, data, settings: { ...shared, ...settings } }), output };
}

/** All weights, in the order of the model. */
function weightsOf(path: string): readonly number[] {
  return readModel(path).graph.initializers.flatMap(({ tensor }) => Array.from(tensor!.toFloat32()));
}

const checkpointsOf = (output: string): readonly string[] => readdirSync(`${output}.checkpoints`).toSorted();

function stateOf(output: string, step: number): ReturnType<typeof readSafetensors>['tensors'] {
  const name = `step-${String(step).padStart(9, '0')}`;
  return readSafetensors(join(`${output}.checkpoints`, name, 'state.safetensors')).tensors;
}

const largest = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);

describe('train', () => {
  it('with two batches of 6 an update is what it is with one of 12', async () => {
    const whole = await run({});
    const halves = await run({ batchSize: 6, accumulate: 2 });
    expect(halves.report.epochs[0]!.steps).toBe(6);
    const [expected, actual] = [weightsOf(whole.output), weightsOf(halves.output)];
    const moved = largest(expected, weightsOf(model));
    expect(moved).toBeGreaterThan(1e-3);
    // Sums in another order: float32's 6e-8 times the few hundred terms of a gradient, relative to how far weights moved.
    expect(largest(actual, expected)).toBeLessThan(1e-4 * moved);
    expect(halves.report.epochs[0]!.loss).toBeCloseTo(whole.report.epochs[0]!.loss, 5);
    expect(halves.report.epochs[0]!.gradientNorm!).toBeCloseTo(whole.report.epochs[0]!.gradientNorm!, 4);
  });

  it('moving averages are those of the weights behind every update, and are what is written', async () => {
    const ema = 0.8;
    const { output } = await run({ ema, checkpointEvery: 1, keepCheckpoints: 99 });
    const initial = stateOf(output, 1);
    const parameters = (step: number): Float32Array => stateOf(output, step).get('parameters')!.data as Float32Array;
    const averages = (step: number): Float32Array => stateOf(output, step).get('ema')!.data as Float32Array;
    // A model without statistics: the averages are those of the parameters.
    expect(averages(1).length).toBe(initial.get('parameters')!.data.length);
    for (let step = 2; step <= 6; step++) {
      const before = averages(step - 1);
      const expected = parameters(step).map((value, i) => ema * before[i]! + (1 - ema) * value);
      // One rounding of each product and of the sum.
      expect(largest(averages(step), expected)).toBeLessThan(3e-7);
    }
    expect(largest(averages(6), parameters(6))).toBeGreaterThan(1e-4);
    const ascending = (a: number, b: number): number => a - b;
    expect(weightsOf(output).toSorted(ascending)).toEqual([...averages(6)].toSorted(ascending));
  });

  it('the warm-up is counted in epochs', async () => {
    const { report } = await run({ epochs: 4, warmup: 1.5, schedule: 'constant' });
    // Six updates an epoch, nine of warm-up: update t, from 0, has base · t / 9; the report tells that of an epoch's last.
    expect(report.epochs.map(({ lr }) => lr)).toEqual([(0.05 * 5) / 9, 0.05, 0.05, 0.05]);
  });

  it('keeps the newest checkpoints, and for good those of every n-th epoch', async () => {
    const { output } = await run({ epochs: 5, saveEvery: 2, keepCheckpoints: 1 });
    expect(checkpointsOf(output)).toEqual(['step-000000012', 'step-000000024', 'step-000000030']);
    const { output: other } = await run({ epochs: 3, keepCheckpoints: 2 });
    expect(checkpointsOf(other)).toEqual(['step-000000012', 'step-000000018']);
    const path = join(`${other}.checkpoints`, 'step-000000018');
    expect(readdirSync(path).toSorted()).toEqual(['model.onnx', 'state.json', 'state.safetensors']);
    expect(readFileSync(join(path, 'model.onnx')).equals(readFileSync(other))).toBe(true);
    const state: unknown = JSON.parse(readFileSync(join(path, 'state.json'), 'utf8'));
    expect(faultOf(state)).toBe(undefined);
    expect(faultOf({ ...(state as object), step: 'last' })).toMatch(/step must be number/);
  });

  it('interrupted while it validates, it goes on there', async () => {
    const val = join(folder, 'val');
    await writeTextures(val, 4, 2);
    const settings = { ...shared, epochs: 2, batchSize: 6 };
    const expected = join(folder, 'whole.onnx');
    await train({ model, output: expected, data, val, settings });
    const output = join(folder, 'interrupted.onnx');
    const controller = new AbortController();
    const progress = {
      ...createTrainProgress({ stream: process.stderr, enabled: false }),
      validating: (epoch: number) => {
        if (epoch > 0) controller.abort();
      },
    };
    const stopped = await train({ model, output, data, val, settings, signal: controller.signal, progress });
    expect(stopped).toMatchObject({ status: 'interrupted', epochs: [], output: null });
    expect(checkpointsOf(output)).toEqual(['step-000000012']);
    const report = await train({ model, output, data, val, settings, resume: true });
    expect(report.resumedFrom).toMatchObject({ steps: 12, epoch: 0 });
    expect(report.epochs.map(({ epoch, steps }) => [epoch, steps])).toEqual([
      [1, 12],
      [2, 24],
    ]);
    expect(readFileSync(output).equals(readFileSync(expected))).toBe(true);
  });

  it('images from memory give the same bytes', async () => {
    const [plain, cached] = [await run({ augment: 'crop' }), await run({ augment: 'crop', cache: 2 ** 24 })];
    expect(readFileSync(cached.output).equals(readFileSync(plain.output))).toBe(true);
  });

  it('a run that fails in the middle, as where a device is lost, says where the training can go on', () => {
    const fact = 'onnxruntime failed: CUDA failure 719: unspecified launch failure (cudaStreamSynchronize)';
    const lost = new LowrankError('RUNTIME', fact);
    expect(resumable(lost, undefined)).toBe(lost);
    expect(resumable(lost, 'm.onnx.checkpoints/step-000000012').message).toBe(
      `${fact}; go on with --resume, from m.onnx.checkpoints/step-000000012`,
    );
    const full = new LowrankError('RUNTIME', 'out of memory', { remedy: 'lower --batch-size' });
    expect(resumable(full, 'c/step-1').message).toContain('lower --batch-size; go on with --resume, from c/step-1');
  });
});

describe('the epoch that is written', () => {
  const val = join(folder, 'validation');
  const normalized = join(folder, 'normalized.onnx');
  /** Six updates an epoch; the third epoch has thirty times the rate, which ruins what two have learned. */
  const ruinous = { ...shared, epochs: 3, lr: 0.1, schedule: 'step', decayEvery: 2, decayFactor: 30 } as const;
  const begin = (name: string, more: Partial<TrainOptions> = {}): Promise<TrainReport> =>
    train({ model: normalized, output: join(folder, `${name}.onnx`), data, val, settings: ruinous, ...more });
  const checkpoint = (name: string, step: number, file: string): string =>
    join(folder, `${name}.onnx.checkpoints`, `step-${String(step).padStart(9, '0')}`, file);
  const same = (one: string, other: string): boolean => readFileSync(one).equals(readFileSync(other));
  const lines: string[] = [];
  let report: TrainReport;

  beforeAll(async () => {
    await writeTextures(val, 4, 2);
    writeFileSync(normalized, tinyClassifier());
    const stream = { write: (text: string) => lines.push(text) };
    report = await begin('chosen', { progress: createTrainProgress({ stream, enabled: true }) });
  });

  it('is the best by the validation images; the last stays as a checkpoint', () => {
    const [, best, last] = report.epochs;
    expect(best!.valTop1!).toBeGreaterThan(last!.valTop1!);
    expect(report.written).toEqual({ epoch: 2, valTop1: best!.valTop1, valLoss: best!.valLoss, chosen: 'best' });
    const output = join(folder, 'chosen.onnx');
    expect(report.checkpoint).toEqual({ path: join(checkpoint('chosen', 18, ''), '.'), epoch: 3, steps: 18 });
    expect(checkpointsOf(output)).toEqual(['step-000000012', 'step-000000018']);
    expect(same(output, checkpoint('chosen', 12, 'model.onnx'))).toBe(true);
    expect(same(output, checkpoint('chosen', 18, 'model.onnx'))).toBe(false);
  });

  it('is compared with the model before training, which is measured, told and kept in the checkpoints', async () => {
    const { start } = report;
    const evaluated = await evaluateModel({ model: normalized, data: val });
    expect(evaluated.top1).toBe(start!.valTop1);
    // The eval graph is fed weights from a vector: the same sums, maybe in another order.
    expect(evaluated.loss).toBeCloseTo(start!.valLoss!, 5);
    expect(lines[0]).toMatch(/^images: /);
    expect(lines[1]).toMatch(/^epoch 0\/3 {2}before training {2}val loss 1\.\d{4} {2}val top-1 /);
    expect(report.verdict!.level).toBe('better');
    const state = JSON.parse(readFileSync(checkpoint('chosen', 18, 'state.json'), 'utf8')) as { start: unknown };
    expect(state.start).toEqual(start);
  });

  it('and epoch 0 change nothing of the training; the last is written where that is asked for', async () => {
    const last = await begin('last', { writes: 'last', validatesStart: false });
    expect(last).toMatchObject({ start: null, verdict: null, written: { epoch: 3, chosen: 'last' } });
    expect(same(join(folder, 'last.onnx'), checkpoint('chosen', 18, 'model.onnx'))).toBe(true);
    expect(same(checkpoint('last', 18, 'state.safetensors'), checkpoint('chosen', 18, 'state.safetensors'))).toBe(true);
    const numbers = ({ epochs }: TrainReport): unknown => epochs.map(({ loss, valLoss }) => [loss, valLoss]);
    expect(numbers(last)).toEqual(numbers(report));
  });

  it('is the last, with a word, where there are no validation images, or the best is damaged', async () => {
    const { report: plain } = await run({});
    expect(plain).toMatchObject({ start: null, written: { epoch: 1, valTop1: null, chosen: 'last' } });
    const damaged = await begin('damaged', {
      onEpoch: ({ epoch }) => {
        if (epoch === 3) writeFileSync(checkpoint('damaged', 12, 'state.safetensors'), 'gone');
      },
    });
    expect(damaged.written).toMatchObject({ epoch: 3, chosen: 'last' });
    expect(damaged.warnings.join()).toMatch(
      /the best epoch, 2, cannot be written, but the last: its checkpoint is damaged/,
    );
    expect(same(join(folder, 'damaged.onnx'), checkpoint('chosen', 18, 'model.onnx'))).toBe(true);
  });

  it('that is worse than the start is not written, but the start, and said to be', async () => {
    const worse = await train({
      model: join(folder, 'chosen.onnx'),
      output: join(folder, 'worse.onnx'),
      data,
      val,
      settings: { ...shared, lr: 3, schedule: 'constant' },
    });
    expect(worse.start!.valTop1).toBe(report.written!.valTop1);
    expect(worse.written).toMatchObject({ epoch: 0, chosen: 'start' });
    expect(worse.verdict).toMatchObject({ level: 'same' });
    expect(worse.verdict!.advice).toMatch(/^try a lower --lr than 3 /);
  });

  it('has little left to fall by: the range test does not take its first batches for an explosion', async () => {
    const found = await findLearningRate({ model: join(folder, 'chosen.onnx'), output: '', data, settings: shared });
    // The small losses of its batches differ by more than themselves.
    expect(found.points.length).toBeGreaterThan(50);
    expect(found.suggestion ?? 1).toBeGreaterThan(1e-4);
  });

  it('interrupted while the start is measured, nothing is saved, and the next run begins', async () => {
    const controller = new AbortController();
    const progress = {
      ...createTrainProgress({ stream: process.stderr, enabled: false }),
      validating: () => {
        controller.abort();
      },
    };
    const stopped = await begin('stopped', { signal: controller.signal, progress });
    expect(stopped).toMatchObject({ status: 'interrupted', start: null, checkpoint: null, epochs: [], output: null });
    const early = await failureOf('ABORTED', () => begin('stopped', { signal: AbortSignal.abort() }));
    expect(early.message).toBe(
      'interrupted: nothing was trained yet, and nothing is saved; run the same command again',
    );
    expect((await begin('stopped')).written).toEqual(report.written);
  });
});

describe('a training that goes on', () => {
  const val = join(folder, 'validation');
  const settings = { ...shared, epochs: 2, batchSize: 6, keepCheckpoints: 9 } as const;
  const output = join(folder, 'resumed.onnx');
  const resume = (more: Partial<TrainOptions> = {}): Promise<TrainReport> =>
    train({ model, output, resume: true, ...more });
  beforeAll(async () => {
    await train({ model, output, data, val, preset: 'fine-tune', settings });
  });

  it('knows all that it was told', async () => {
    const report = await resume();
    expect(report.settings).toMatchObject({ data, val, preset: 'fine-tune', ...settings });
    expect(report.warnings.join()).toMatch(
      /all 2 epochs were done before: nothing is trained; a larger --epochs goes on/,
    );
    expect(report.written!.epoch).toBe(report.best!.epoch);
    expect(report.start).not.toBe(null);
  });

  it('refuses with all that differs at once; what a preset says is none of it', async () => {
    const failure = await failureOf('USAGE', () =>
      resume({
        val: join(data, 'train'),
        preset: 'imagenet-resnet',
        settings: { lr: 0.2, seed: 3, flip: false, workers: 1 },
      }),
    );
    expect(failure.fact).toMatch(
      /^the checkpoint was trained with lr 0\.05, not 0\.2, with seed 0, not 3, with flip true, not false, with validation images 12 \(\w+\), not 72 \(\w+\), with preset "fine-tune", not "imagenet-resnet"$/,
    );
    expect(failure.remedy).toMatch(/^leave out what was given otherwise, .*, or begin anew from its model.onnx$/);
    await failureOf('USAGE', () => resume({ settings: { threads: 2 } }));
    expect((await failureOf('USAGE', () => resume({ settings: { epochs: 1 } }))).message).toMatch(
      /^1 epoch asked for, and 2 are done; .*step-000000024; give --epochs 2 or more, or begin anew/,
    );
    expect((await failureOf('USAGE', () => resume({ exact: true, settings: { epochs: 3 } }))).fact).toBe(
      'the checkpoint was trained with epochs 2, not 3',
    );
  });

  it('takes more epochs, workers, and another device with what belongs to it, and says so', async () => {
    const report = await resume({ settings: { epochs: 3, workers: 1, device: 'cpu', threads: 2 } });
    expect(report.epochs.map(({ epoch }) => epoch)).toEqual([1, 2, 3]);
    expect(report.settings).toMatchObject({ epochs: 3, workers: 1, threads: 2 });
    expect(report.warnings).toEqual([
      'goes on to epoch 3, not 2: the learning rate is from here on that of a training of 3 epochs',
      'goes on with threads 2, not 1: no longer bit for bit as it would have',
    ]);
    // The checkpoint knows what has changed.
    expect((await resume()).settings).toMatchObject({ epochs: 3, workers: 1, threads: 2 });
  });
});

describe('a new head', () => {
  it('that gets few updates is told so before the training starts', async () => {
    const lines: string[] = [];
    const progress = createTrainProgress({ stream: { write: (text: string) => lines.push(text) }, enabled: true });
    const settings = { ...shared, newHead: true, epochs: 2 };
    const report = await train({ model, output: join(folder, 'head.onnx'), data, settings, progress });
    expect(lines[1]).toBe(`warning: ${report.warnings.at(-1)}\n`);
    expect(lines[1]).toMatch(/a new head gets 12 updates in all, which is few: more --epochs, a smaller --batch-size/);
    expect(lines[2]).toMatch(/^epoch 1\/2/);
    expect(fewUpdates({ ...defaultTrainSettings, newHead: true, epochs: 1 }, 13)).toBe(undefined);
    expect(fewUpdates({ ...defaultTrainSettings, epochs: 1 }, 1)).toBe(undefined);
  });
});
