import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { TrainReport } from '../../src/contracts/train.js';
import { readModel } from '../../src/graph/read.js';
import { trainHtml } from '../../src/report/html/train.js';
import { createTrainProgress } from '../../src/report/train-progress.js';
import { renderTrainTable } from '../../src/report/train-table.js';
import { withAugment } from '../../src/training/augmentation.js';
import { train } from '../../src/training/loop.js';
import { defaultTrainSettings, type TrainOptions, type TrainSettings } from '../../src/training/options.js';
import { withPreset } from '../../src/training/presets.js';
import { chosenRate } from '../../src/training/chosen-rate.js';
import { trialSteps } from '../../src/training/rate-trials.js';
import { temporaryFolder } from '../support/command.js';
import { faultOf } from '../support/schemas.js';
import { tinyClassifier, writeTextures } from '../support/tiny-classifier.js';

const folder = temporaryFolder();
const data = join(folder, 'photos');
const val = join(folder, 'validation');
/** Right on every validation image. */
const good = join(folder, 'good.onnx');
const shared = { batchSize: 12, augment: 'none', workers: 0, threads: 1, keepCheckpoints: 99 } as const;
const lines: string[] = [];
const lineOf = (pattern: RegExp): string => lines.find((line) => pattern.test(line)) ?? '';
const stateBehind = (output: string, step: number): Buffer =>
  readFileSync(join(`${output}.checkpoints`, `step-${String(step).padStart(9, '0')}`, 'state.safetensors'));
const weightsOf = (path: string): readonly number[] =>
  readModel(path).graph.initializers.flatMap(({ tensor }) => Array.from(tensor!.toFloat32()));

function fineTune(
  name: string,
  settings: Partial<TrainSettings>,
  more: Partial<TrainOptions> = {},
): Promise<TrainReport> {
  const stream = { write: (text: string) => lines.push(text) };
  const progress = createTrainProgress({ stream, enabled: true });
  lines.length = 0;
  const told = more.resume === true ? settings : withPreset('fine-tune', { ...shared, ...settings });
  const output = join(folder, `${name}.onnx`);
  return train({ model: good, output, data, val, preset: 'fine-tune', settings: told, progress, ...more });
}

beforeAll(async () => {
  await writeTextures(join(data, 'train'), 24, 1);
  await writeTextures(val, 8, 2);
  const fresh = join(folder, 'fresh.onnx');
  writeFileSync(fresh, tinyClassifier());
  const report = await train({ model: fresh, output: good, data, val, settings: { ...shared, epochs: 3, lr: 0.1 } });
  expect(report.written).toMatchObject({ valTop1: 1, chosen: 'best' });
});

describe('a rate that is far too high', () => {
  const settings = { lr: 20, warmup: 0, schedule: 'constant', epochs: 3, retreats: 2, checkpointEvery: 2 } as const;
  const output = join(folder, 'far.onnx');
  let report: TrainReport;
  beforeAll(async () => {
    report = await fineTune('far', settings);
  });

  it('leads back to the start, with half of the rate each time, as often as it may', () => {
    const [first, second, third] = report.epochs;
    expect(report.retreats).toEqual([
      { epoch: 1, valTop1: first!.valTop1, to: 0, rateFactor: 0.5 },
      { epoch: 2, valTop1: second!.valTop1, to: 0, rateFactor: 0.25 },
    ]);
    expect([first!.lr, second!.lr, third!.lr]).toEqual([20, 10, 5]);
    expect(lineOf(/back to/)).toMatch(
      /^epoch 1 was \d\d\.\d\d points below the start: back to the weights from before training, with half of the learning rate\n$/,
    );
    expect(faultOf(report)).toBe(undefined);
  });

  it('never loses the start: its weights are written, and text, page and verdict say so', async () => {
    const { start } = report;
    expect(report.written).toEqual({ epoch: 0, valTop1: 1, valLoss: start!.valLoss, chosen: 'start' });
    expect(weightsOf(output)).toEqual(weightsOf(good));
    expect(report.verdict).toMatchObject({ level: 'same' });
    expect(report.verdict!.finding).toMatch(
      /^no better than before training: top-1 .* below the 100 % before, so the weights from before training are written$/,
    );
    expect(report.verdict!.advice).toMatch(/^try a lower --lr than 20 /);
    const text = renderTrainTable(report, { columns: undefined, colors: false } as never);
    const written = /the weights from before training: none of 3 epochs was better than their top-1 100 %/;
    expect(text).toMatch(written);
    expect(text).toMatch(
      /went back +epoch 1 was .*\n +epoch 2 was |went back +epoch 1 was .*\nwent back +epoch 2 was /,
    );
    expect(await trainHtml(report)).toMatch(written);
  });

  it.each([
    ['inside of an epoch behind it', 2, 3],
    ['right before it', 1, 6],
  ])('and interrupted %s it goes on bit for bit', async (_, epoch, step) => {
    const name = `stopped-${epoch}`;
    const controller = new AbortController();
    const progress = {
      ...createTrainProgress({ stream: process.stderr, enabled: false }),
      step: (at: { readonly epoch: number; readonly step: number }) => {
        if (at.epoch === epoch && at.step === step) controller.abort();
      },
    };
    const stopped = await fineTune(name, settings, { progress, signal: controller.signal });
    expect(stopped.status).toBe('interrupted');
    expect(stopped.retreats).toHaveLength(epoch - 1);
    const resumed = await fineTune(name, {}, { resume: true });
    expect(resumed.retreats).toEqual(report.retreats);
    for (const at of [14, 18]) {
      expect(stateBehind(join(folder, `${name}.onnx`), at).equals(stateBehind(output, at))).toBe(true);
    }
  });

  it('so that nothing is finite leads back too, and the epoch is begun again', async () => {
    const overflown = await fineTune('overflow', { ...settings, lr: 1e6, epochs: 1, retreats: 40 });
    expect(overflown.retreats!.length).toBeGreaterThan(0);
    expect(overflown.retreats).toContainEqual({ epoch: 1, valTop1: null, to: 0, rateFactor: 0.5 });
    expect(overflown.epochs).toHaveLength(1);
    expect(overflown.epochs[0]!.steps).toBe(6);
    expect(lineOf(/back to/)).toMatch(/^epoch 1 had a loss, a gradient or a weight that was not finite: back to/);
    const steps = readdirSync(join(folder, 'overflow.onnx.checkpoints')).toSorted();
    expect(steps).toEqual(['step-000000002', 'step-000000004', 'step-000000006']);
  });

  it('without the preset is what was asked for, but for what is written', async () => {
    const plain = await train({
      ...{ model: good, output: join(folder, 'plain.onnx'), data, val },
      settings: { ...shared, lr: 20, epochs: 1 },
    });
    expect(plain).toMatchObject({ retreats: [], written: { epoch: 0, chosen: 'start' } });
    const last = await train({
      ...{ model: good, output: join(folder, 'last.onnx'), data, val, writes: 'last' },
      settings: { ...shared, lr: 20, epochs: 1 },
    });
    expect(last).toMatchObject({ written: { epoch: 1, chosen: 'last' }, verdict: { level: 'worse' } });
  });
});

describe('the rate of the preset', () => {
  const largest = (0.04 * 12) / 256;
  const settings = { epochs: 2 } as const;
  let report: TrainReport;
  beforeAll(async () => {
    report = await fineTune('found', settings);
  });

  it('is the best of short trainings from the start, which are told and reported', () => {
    const { foundRate } = report;
    const { trials, lr } = foundRate!;
    expect(foundRate).toMatchObject({ images: 24, from: 'validation' });
    expect(foundRate!.startLoss).toBeCloseTo(report.start!.valLoss!, 6);
    expect(trials.length).toBeGreaterThan(1);
    expect(trials[0]!.lr).toBeCloseTo(largest / 3 ** 5, 12);
    expect(trials.every((trial) => trial.lr <= largest && trial.steps === 10)).toBe(true);
    expect(lr).toBe(chosenRate(trials, foundRate!.startLoss!));
    expect(report.settings).toMatchObject({ lr, lrTrials: true });
    expect(lines.filter((line) => line.startsWith('learning rate: rate '))).toHaveLength(trials.length);
    expect(lineOf(/^learning rate: tried/)).toMatch(/tried on 24 validation images, whose loss is /);
    expect(report.verdict!.level).not.toBe('worse');
  });

  it('is kept: a training that goes on does not try again, and equals one that was not interrupted', async () => {
    const controller = new AbortController();
    const onEpoch = (): void => {
      controller.abort();
    };
    await fineTune('kept', settings, { signal: controller.signal, onEpoch });
    const resumed = await fineTune('kept', {}, { resume: true });
    expect(lineOf(/^learning rate: /)).toBe('');
    expect(resumed.foundRate).toEqual(report.foundRate);
    expect(readFileSync(join(folder, 'kept.onnx')).equals(readFileSync(join(folder, 'found.onnx')))).toBe(true);
    const same = await fineTune('kept', { lr: report.foundRate!.lr }, { resume: true });
    expect(same.status).toBe('finished');
    await expect(fineTune('kept', { lr: 1 }, { resume: true })).rejects.toThrow(/trained with lr .*, not 1/);
  });

  it('without validation images is tried on training images that it does not train on', async () => {
    const alone = await fineTune('alone', { epochs: 1 }, { val: undefined });
    expect(alone.foundRate).toMatchObject({ images: 14, from: 'training' });
    expect(alone.written).toMatchObject({ epoch: 1, chosen: 'last' });
  });

  it('is not tried where one is given, and comes before the checkpoints of an earlier training are refused', async () => {
    const given = await fineTune('given', { epochs: 1, lr: 1e-4 });
    expect(given.foundRate).toBe(undefined);
    expect(given.epochs[0]!.lr).toBeLessThan(1e-4);
    await expect(
      fineTune('found', settings, { output: join(folder, 'stopped-1.onnx'), force: false }),
    ).rejects.toThrow();
    expect(lineOf(/^learning rate: /)).toBe('');
  });

  it('is the largest that gains nearly as much as the best; the best where none gains', () => {
    const trials = (...losses: (number | null)[]) => losses.map((loss, i) => ({ lr: 3 ** i, steps: 10, loss }));
    expect(chosenRate(trials(0.9, 0.6, 0.5, 0.55, 0.7), 1)).toBe(27);
    expect(chosenRate(trials(0.9, 0.6, 0.5, 0.65, null), 1)).toBe(9);
    expect(chosenRate(trials(1.1, 1.2), 1)).toBe(1);
    expect(() => chosenRate(trials(null, null), 1)).toThrow(/no learning rate that was tried gives a loss/);
  });

  it('trials are a small part of the training', () => {
    expect([6, 100, 500, 10_000].map(trialSteps)).toEqual([6, 10, 20, 40]);
  });
});

describe('the augmentation of the preset', () => {
  const auto = { ...defaultTrainSettings, ...withPreset('fine-tune', {}) };
  it('goes by the number of the images and their size', () => {
    expect(auto.augment).toBe('auto');
    expect(withAugment(auto, 4000, 32).augment).toBe('none');
    expect(withAugment(auto, 4000, 224).augment).toBe('none');
    expect(withAugment(auto, 50_000, 32).augment).toBe('pad');
    expect(withAugment(auto, 50_000, 224)).toMatchObject({ augment: 'crop', minScale: 0.35 });
  });

  it('is what is given', () => {
    expect(withPreset('fine-tune', { augment: 'pad' }).augment).toBe('pad');
    const cropped = { ...defaultTrainSettings, ...withPreset('fine-tune', { minScale: 0.5 }) };
    expect(cropped).toMatchObject({ augment: 'crop', minScale: 0.5 });
    expect(withAugment(cropped, 10, 32)).toBe(cropped);
  });
});
