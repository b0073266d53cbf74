import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { bestEpoch, type TrainReport } from '../../src/contracts/train.js';
import { convert } from '../../src/convert/usual-calls.js';
import { readSafetensors } from '../../src/files/safetensors.js';
import { readModel } from '../../src/graph/read.js';
import { createTrainProgress, type TrainStep } from '../../src/report/train-progress.js';
import type { TrainingState } from '../../src/step/vectors.js';
import { carryState } from '../../src/training/carry.js';
import { type LaidOut, tensorsOf } from '../../src/step/laid-out.js';
import { trainSegments } from '../../src/training/loop.js';
import {
  defaultTrainSettings,
  type TrainCall,
  type TrainOptions,
  type TrainSettings,
} from '../../src/training/options.js';
import type { Segment } from '../../src/training/segments.js';
import { openTrainingSession } from '../../src/training/session.js';
import { temporaryFolder } from '../support/command.js';
import { failureOf } from '../support/errors.js';
import { tinyClassifier, writeTextures } from '../support/tiny-classifier.js';

const folder = temporaryFolder();
const data = join(folder, 'photos');
const model = join(folder, 'model.onnx');
/** 36 images: 3 updates an epoch. */
const settings: Partial<TrainSettings> = {
  ...{ epochs: 3, batchSize: 12, lr: 0.05, ema: 0.9, augment: 'none', workers: 0, threads: 1 },
  ...{ checkpointEvery: 2, keepCheckpoints: 9 },
};

type OfPairs = Pick<Segment, 'carryOthers'> & { readonly settings?: Partial<TrainSettings> };

/** One epoch in full rank, then the pairs that are cut from its weights: truncated SVDs of them. */
function segmentsOf(call: TrainCall, ofPairs: OfPairs = {}): readonly Segment[] {
  return [
    {
      name: 'full rank',
      epochs: 1,
      open: async () => ({ settings: call.settings, session: await openTrainingSession(call, call.settings) }),
    },
    {
      name: 'pairs',
      epochs: 2,
      ...(ofPairs.carryOthers === undefined ? {} : { carryOthers: ofPairs.carryOthers }),
      open: async (trained) => {
        const pairs = `${call.output}.pairs.onnx`;
        if (!existsSync(pairs)) {
          await convert(trained!, { output: pairs, rankScale: 0.5, init: 'spectral', calibrate: 'none' });
        }
        const own = { ...call.settings, ...ofPairs.settings };
        return { settings: own, session: await openTrainingSession({ ...call, model: pairs }, own) };
      },
    },
  ];
}

const outputOf = (name: string): string => join(folder, name, 'trained.onnx');

function run(name: string, more: Partial<TrainOptions> = {}, ofPairs: OfPairs = {}): Promise<TrainReport> {
  mkdirSync(join(folder, name), { recursive: true });
  const options = { model, output: outputOf(name), data, validatesStart: false, settings, ...more };
  return trainSegments(options, (call) => segmentsOf(call, ofPairs));
}

/** Stopped behind an update, and gone on with. */
async function stoppedAt(name: string, isThere: (step: TrainStep) => boolean): Promise<readonly TrainReport[]> {
  const controller = new AbortController();
  const progress = {
    ...createTrainProgress({ stream: process.stderr, enabled: false }),
    step: (step: TrainStep) => {
      if (isThere(step)) controller.abort();
    },
  };
  return [await run(name, { signal: controller.signal, progress }), await run(name, { resume: true })];
}

const checkpoint = (name: string, step: number, file: string): string =>
  join(`${outputOf(name)}.checkpoints`, `step-${String(step).padStart(9, '0')}`, file);

function vectorsOf(name: string, step: number): TrainingState {
  const { tensors } = readSafetensors(checkpoint(name, step, 'state.safetensors'));
  const vector = (key: string): Float32Array => tensors.get(key)!.data as Float32Array;
  return {
    parameters: vector('parameters'),
    statistics: vector('statistics'),
    state: vector('state'),
    ema: vector('ema'),
  };
}

function segmentOf(name: string, step: number): unknown {
  return (JSON.parse(readFileSync(checkpoint(name, step, 'state.json'), 'utf8')) as { segment?: unknown }).segment;
}

function weightsOf(path: string): ReadonlyMap<string, Float32Array> {
  const opened = readModel(path);
  try {
    return new Map(opened.graph.initializers.map(({ name, tensor }) => [name, tensor!.toFloat32()]));
  } finally {
    opened.file?.close();
  }
}

let whole: TrainReport;

beforeAll(async () => {
  await writeTextures(data, 12, 1);
  writeFileSync(model, tinyClassifier());
  whole = await run('whole');
});

describe('a training of two segments', () => {
  it('trains the first model, then the second one, and names the segment in its checkpoints', () => {
    expect(whole).toMatchObject({ status: 'finished', written: { epoch: 3, chosen: 'last' } });
    expect(whole.epochs.map(({ epoch, steps }) => [epoch, steps])).toEqual([
      [1, 3],
      [2, 6],
      [3, 9],
    ]);
    expect([3, 4].map((step) => segmentOf('whole', step))).toEqual([
      { index: 0, name: 'full rank', tried: 0, from: 0 },
      { index: 1, name: 'pairs', tried: 3, from: 1 },
    ]);
    const [full, pairs] = [weightsOf(model), weightsOf(outputOf('whole'))];
    expect([...full.keys()].filter((name) => !pairs.has(name))).toContain('block1.conv1.weight');
    // The schedule is one: cosine over all nine updates.
    const rate = (update: number): number => (0.05 * (1 + Math.cos((Math.PI * update) / 9))) / 2;
    for (const { lr, steps } of whole.epochs) expect(lr).toBeCloseTo(rate(steps - 1), 12);
  });

  it('carries over what keeps its name, bit for bit; new factors begin at truncated SVDs, with an optimizer of zeros', async () => {
    const options = { model, data, output: '' };
    const own = { ...defaultTrainSettings, ...settings };
    const before = await openTrainingSession(options, own);
    const next = await openTrainingSession({ ...options, model: `${outputOf('whole')}.pairs.onnx` }, own);
    try {
      const old: LaidOut = { state: vectorsOf('whole', 3), layout: before.layout };
      const carried: LaidOut = { state: await next.initial(), layout: next.layout };
      await carryState(old, carried);
      const [was, is] = [tensorsOf(old), tensorsOf(carried)];
      const kept = [...is.keys()].filter((name) => was.has(name));
      expect(kept).toEqual(expect.arrayContaining(['stem.bn.weight', 'stem.bn.mean', 'fc.bias']));
      for (const name of kept) expect(is.get(name), name).toEqual(was.get(name));
      expect(kept.some((name) => was.get(name)!.buffers[0]?.some((value) => value !== 0))).toBe(true);
      const fresh = weightsOf(`${outputOf('whole')}.pairs.onnx`);
      const others = [...is.keys()].filter((name) => !was.has(name));
      expect(others.length).toBeGreaterThan(3);
      for (const name of others) {
        const { value, buffers, average } = is.get(name)!;
        expect(value, name).toEqual(fresh.get(name));
        expect(average, name).toEqual(value);
        expect(buffers[0]!.every((each) => each === 0)).toBe(true);
      }
    } finally {
      await before.close();
      await next.close();
    }
  });

  it('the second one begins with it: at a rate that moves nothing, its weights are those that were carried over', async () => {
    const longer = { ...settings, batchSize: 3, ema: 0.5, keepCheckpoints: 99 };
    const carryOthers: OfPairs['carryOthers'] = (before, others) => {
      expect(before.has('block1.conv1.weight')).toBe(true);
      for (const { value } of others.values()) value.fill(1);
    };
    const report = await run(
      'still',
      { val: data, settings: longer },
      { carryOthers, settings: { lr: 1e-30, weightDecay: 0 } },
    );
    // An epoch of another model cannot be written, though it is the best.
    expect(bestEpoch(report.epochs)?.epoch).toBe(1);
    expect([report.best?.epoch, report.written?.epoch]).not.toContain(1);
    const border = weightsOf(checkpoint('still', 12, 'model.onnx'));
    // Checkpoints have the averages, which move towards weights that stay; the file between the segments has the weights.
    const weights = weightsOf(join(`${outputOf('still')}.checkpoints`, 'segment-1.onnx'));
    expect(weights.get('stem.bn.weight')).not.toEqual(border.get('stem.bn.weight'));
    const session = await openTrainingSession(
      { model: `${outputOf('still')}.pairs.onnx`, data, output: '' },
      { ...defaultTrainSettings, ...longer },
    );
    try {
      const is = tensorsOf({ state: vectorsOf('still', 14), layout: session.layout });
      expect(is.get('stem.bn.weight')!.value).toEqual(weights.get('stem.bn.weight'));
      const others = [...is].filter(([name]) => !weights.has(name));
      expect(others.every(([, { value }]) => value.every((each) => each === 1))).toBe(true);
    } finally {
      await session.close();
    }
  });
});

describe('a training of two segments that is stopped', () => {
  it.each([
    ['inside the first', 'first', 2, ({ epoch, step }: TrainStep) => epoch === 1 && step === 2, 0],
    ['inside the second', 'second', 5, ({ epoch, step }: TrainStep) => epoch === 2 && step === 2, 1],
  ])('%s goes on to the same bytes', async (_, name, steps, isThere, index) => {
    const [stopped, resumed] = await stoppedAt(name, isThere);
    expect(stopped).toMatchObject({ status: 'interrupted', checkpoint: { steps } });
    expect(segmentOf(name, steps)).toMatchObject({ index });
    expect(resumed).toMatchObject({ status: 'finished', resumedFrom: { steps } });
    expectSame(name);
  });

  it('between them goes on to the same bytes', async () => {
    const controller = new AbortController();
    const stopped = await run('border', { signal: controller.signal, onEpoch: () => controller.abort() });
    expect(stopped).toMatchObject({ status: 'interrupted', checkpoint: { steps: 3, epoch: 1 } });
    expect(segmentOf('border', 3)).toMatchObject({ index: 0 });
    expect(existsSync(`${outputOf('border')}.pairs.onnx`)).toBe(false);
    const alone = { model, output: outputOf('border'), data, settings, resume: true };
    const refused = await failureOf('USAGE', () => trainSegments(alone, (call) => segmentsOf(call).slice(0, 1)));
    expect(refused.fact).toBe('the checkpoint is of a training of other segments');
    await run('border', { resume: true });
    expectSame('border');
  });
});

/** Written models and the vectors of the last checkpoint, bit for bit. */
function expectSame(name: string): void {
  expect(readFileSync(outputOf(name)).equals(readFileSync(outputOf('whole')))).toBe(true);
  expect(vectorsOf(name, 9)).toEqual(vectorsOf('whole', 9));
  expect(readdirSync(`${outputOf(name)}.checkpoints`)).toContain('segment-1.onnx');
}
