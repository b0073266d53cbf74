import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { LowrankError } from '../../src/errors.js';
import { readModel } from '../../src/graph/read.js';
import { createTrainProgress } from '../../src/report/train-progress.js';
import type { TrainReport } from '../../src/report/train-contract.js';
import { resumable, train } from '../../src/train/loop.js';
import type { TrainSettings } from '../../src/train/options.js';
import { readSafetensors } from '../../src/train/safetensors.js';
import { temporaryFolder } from '../support/command.js';
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
      validating: () => {
        controller.abort();
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
