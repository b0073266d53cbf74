import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { LowrankError } from '../../src/errors.js';
import { fillTruncatedNormal, randomStream } from '../../src/random.js';
import { createTrainProgress } from '../../src/report/train-progress.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { train } from '../../src/training/loop.js';
import type { MaskInput } from '../../src/contracts/artifacts.js';
import { buildGradientGraph } from '../../src/step/gradient-graph.js';
import { drawMasks } from '../../src/step/masks.js';
import { prepareTraining } from '../../src/step/prepare.js';
import type { RunMode } from '../../src/training/session.js';
import { defaultGraphSettings, type GraphSettings } from '../../src/step/settings.js';
import { createTrainer, type Measured, type Trainer } from '../../src/training/trainer.js';
import { buildUpdateGraph } from '../../src/step/update-graph.js';
import { initialState, type TrainingState } from '../../src/step/vectors.js';
import { temporaryFolder } from '../support/command.js';
import { failureOf } from '../support/errors.js';
import { tinyClassifier, writeTextures } from '../support/tiny-classifier.js';

const batch = 4;
const pixels = 3 * 16 * 16;

interface Case {
  readonly settings?: Partial<GraphSettings>;
  readonly ema?: number;
  readonly accumulate?: number;
}

const masks: MaskInput[] = [];

async function open({ settings = {}, ema }: Case, mode: RunMode): Promise<Trainer> {
  const all = { ...defaultGraphSettings, ...settings };
  const prepared = prepareTraining(tinyClassifier({ dropout: 0.3 }), { settings: all, imageSize: 16 });
  const gradient = buildGradientGraph(prepared, all, { batch, isBatchOpen: false });
  masks.splice(0, masks.length, ...gradient.interface.inputs.masks);
  expect(masks).toHaveLength(1);
  const update = buildUpdateGraph(prepared, all);
  const state = initialState(prepared, update.stateLength, ema !== undefined);
  const driver = await loadDriver();
  const session = { threads: 1 };
  return createTrainer({
    ...{ driver, gradient, update, state, batch, session, averageDecay: ema, ...mode },
  });
}

/** Micro-batch i: images and masks from a seed, one image of `scale`. */
function microBatch(i: number, scale = 1): Parameters<Trainer['accumulate']>[0] {
  const images = new Float32Array(batch * pixels);
  fillTruncatedNormal(randomStream(i, 'images'), images, 0, 1);
  images[0] = scale;
  const labels = BigInt64Array.from({ length: batch }, (_, k) => BigInt((i + k) % 3));
  return { images, labels, masks: drawMasks(masks, batch, 1, i, 0) };
}

interface Outcome {
  readonly state: TrainingState;
  readonly measured: Measured;
}

const copy = ({ parameters, statistics, state, ema }: TrainingState): TrainingState => ({
  ...{ parameters: parameters.slice(), statistics: statistics.slice(), state: state.slice(), ema: ema.slice() },
});

/** Five updates, with a batch in between whose loss is not finite where `broken` says so. */
async function runSteps(example: Case, mode: RunMode): Promise<Outcome> {
  const trainer = await open(example, mode);
  const measured: Measured[] = [];
  try {
    const add = (some: Measured | undefined): void => {
      if (some !== undefined) measured.push(some);
    };
    for (let step = 0; step < 5; step++) {
      for (let k = 0; k < (example.accumulate ?? 1); k++) await trainer.accumulate(microBatch(10 * step + k));
      add(await trainer.update(0.01 * (step + 1)));
      expect(trainer.step).toBe(step + 1);
    }
    add(await trainer.collect());
    const sum = (name: keyof Measured): number => measured.reduce((total, some) => total + some[name], 0);
    return {
      state: copy(await trainer.read()),
      measured: {
        updates: sum('updates'),
        microBatches: sum('microBatches'),
        loss: sum('loss'),
        correct: sum('correct'),
        gradientNorm: sum('gradientNorm'),
      },
    };
  } finally {
    await trainer.close();
  }
}

const cases: Readonly<Record<string, Case>> = {
  'SGD with momentum': { settings: { momentum: 0.9, weightDecay: 1e-3 } },
  Adam: { settings: { optimizer: 'adam' } },
  'moving averages': { ema: 0.9 },
  'three micro-batches an update': { accumulate: 3, ema: 0.5 },
  'two micro-batches, AdamW, clipping': { accumulate: 2, settings: { optimizer: 'adamw', clip: 0.5 } },
};

describe('state in the memory of the device gives the same bits as state in arrays', () => {
  it.each(Object.entries(cases))('%s', async (_, example) => {
    const expected = await runSteps(example, { isResident: false });
    const { parameters } = expected.state;
    expect(parameters.every(Number.isFinite)).toBe(true);
    expect(expected.measured).toMatchObject({ updates: 5, microBatches: 5 * (example.accumulate ?? 1) });
    for (const readEvery of [1, 2, 7]) {
      const { state, measured } = await runSteps(example, { isResident: true, readEvery });
      expect(state).toEqual(expected.state);
      expect(measured.correct).toBe(expected.measured.correct);
      expect(measured.updates).toBe(5);
      expect(measured.microBatches).toBe(expected.measured.microBatches);
      // The same float32 numbers, added up in another order in float64.
      expect(measured.loss).toBeCloseTo(expected.measured.loss, 12);
      expect(measured.gradientNorm).toBeCloseTo(expected.measured.gradientNorm, 12);
    }
    for (const readEvery of [1, 3]) {
      const { state, measured } = await runSteps(example, { isResident: true, readEvery, capture: true });
      expect(state).toEqual(expected.state);
      expect(measured).toMatchObject({ updates: 5, correct: expected.measured.correct });
      expect(measured.loss).toBeCloseTo(expected.measured.loss, 12);
      expect(measured.gradientNorm).toBeCloseTo(expected.measured.gradientNorm, 12);
    }
  });

  it.each([false, true])('a loss that is not finite undoes the step (resident: %s)', async (isResident) => {
    const undone = await open({ ema: 0.9 }, { isResident });
    const plain = await open({ ema: 0.9 }, { isResident: false });
    try {
      for (const trainer of [undone, plain]) {
        await trainer.accumulate(microBatch(1));
        await trainer.update(0.1);
      }
      for (const goodFirst of [0, 1, 2]) {
        for (let k = 0; k < goodFirst; k++) await undone.accumulate(microBatch(20 + k));
        const failure = await failureOf('NUMERIC', () => undone.accumulate(microBatch(2, Number.NaN)));
        expect(failure.message).toBe('the loss is NaN; step 2');
        expect(await undone.read()).toEqual(await plain.read());
      }
      for (const trainer of [undone, plain]) {
        for (let k = 0; k < 3; k++) await trainer.accumulate(microBatch(30 + k));
        await trainer.update(0.1);
      }
      expect(await undone.read()).toEqual(await plain.read());
      expect(undone.step).toBe(2);
    } finally {
      await undone.close();
      await plain.close();
    }
  });

  it('read every few updates, a loss that is not finite names the first step that failed', async () => {
    const trainer = await open({}, { isResident: true, readEvery: 4 });
    try {
      const step = async (i: number, scale?: number): Promise<Measured | undefined> => {
        await trainer.accumulate(microBatch(i, scale));
        return trainer.update(0.01);
      };
      for (let i = 0; i < 3; i++) expect(await step(i)).toBeUndefined();
      expect(await step(3)).toMatchObject({ updates: 4, microBatches: 4 });
      await step(4);
      await step(5, Number.NaN);
      await step(6);
      const failure = await failureOf('NUMERIC', () => step(7));
      expect(failure.message).toBe('the loss is NaN; step 6 (steps 5 to 8 were read together)');
      expect(trainer.step).toBe(5);
      for (const later of [() => step(8), () => trainer.read(), () => trainer.collect()]) {
        expect(await failureOf('NUMERIC', later)).toBeInstanceOf(LowrankError);
      }
    } finally {
      await trainer.close();
    }
  });
});

describe('a training with its state on the device', () => {
  const folder = temporaryFolder();
  const data = join(folder, 'photos');
  const model = join(folder, 'model.onnx');
  beforeAll(async () => {
    await writeTextures(join(data, 'train'), 24, 1);
    await writeTextures(join(data, 'val'), 4, 2);
    writeFileSync(model, tinyClassifier());
  });
  const settings = { epochs: 2, lr: 0.05, batchSize: 6, accumulate: 2, ema: 0.9, workers: 0, threads: 1 } as const;

  it('writes the same bytes, reports the same numbers, and goes on from a checkpoint', async () => {
    const [plain, resident, resumed] = ['plain', 'resident', 'resumed'].map((name) => join(folder, `${name}.onnx`));
    const expected = await train({ model, output: plain!, data, settings });
    const mode = { isResident: true, readEvery: 4 };
    const actual = await train({ model, output: resident!, data, settings }, mode);
    expect(readFileSync(resident!).equals(readFileSync(plain!))).toBe(true);
    for (const [i, epoch] of expected.epochs.entries()) {
      const { loss, top1, valLoss, valTop1, gradientNorm } = actual.epochs[i]!;
      expect({ top1, valLoss, valTop1 }).toEqual({ top1: epoch.top1, valLoss: epoch.valLoss, valTop1: epoch.valTop1 });
      expect(loss).toBeCloseTo(epoch.loss, 10);
      expect(gradientNorm).toBeCloseTo(epoch.gradientNorm!, 10);
    }
    const controller = new AbortController();
    const progress = {
      ...createTrainProgress({ stream: process.stderr, enabled: false }),
      step: () => {
        controller.abort();
      },
    };
    const stopped = await train({ model, output: resumed!, data, settings, signal: controller.signal, progress }, mode);
    expect(stopped.status).toBe('interrupted');
    expect(readdirSync(`${resumed!}.checkpoints`)).toHaveLength(1);
    await train({ model, output: resumed!, data, settings, resume: true }, mode);
    expect(readFileSync(resumed!).equals(readFileSync(plain!))).toBe(true);
  });

  it('a loss that is not finite leads back to the last good checkpoint, however late it is noticed', async () => {
    const output = join(folder, 'broken.onnx');
    const wild = {
      ...settings,
      accumulate: 1,
      ema: null,
      epochs: 3,
      lr: 1e12,
      warmup: 1.5,
      checkpointEvery: 1,
      keepCheckpoints: 99,
    };
    for (const [mode, checkpointEvery, noticed] of [
      [{ isResident: false }, 1, 'step 3'],
      [{ isResident: true, readEvery: 5 }, 2, '(steps 3 to 4 were read together)'],
    ] as const) {
      const failure = await failureOf('NUMERIC', () =>
        train({ model, output, data, force: true, settings: { ...wild, checkpointEvery } }, mode),
      );
      expect(failure.message).toContain(noticed);
      const last = readdirSync(`${output}.checkpoints`).toSorted().at(-1);
      expect(last).toBe('step-000000002');
      expect(failure.message).toContain(join(`${output}.checkpoints`, last!, 'model.onnx'));
    }
  });
});
