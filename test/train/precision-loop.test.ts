import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { TrainReport } from '../../src/contracts/train.js';
import { train } from '../../src/training/loop.js';
import type { TrainOptions, TrainSettings } from '../../src/training/options.js';
import { temporaryFolder } from '../support/command.js';
import { failureOf } from '../support/errors.js';
import { tinyClassifier, writeTextures } from '../support/tiny-classifier.js';

const folder = temporaryFolder();
const data = join(folder, 'photos');
const model = join(folder, 'model.onnx');
/** 72 images: 6 updates an epoch. */
const shared = { epochs: 2, lr: 0.05, batchSize: 12, workers: 0, threads: 1, target: 'portable' } as const;

beforeAll(async () => {
  await writeTextures(join(data, 'train'), 24, 1);
  await writeTextures(join(data, 'val'), 4, 2);
  writeFileSync(model, tinyClassifier({ hasNormalization: false }));
});

/** Inputs so large that gradients overflow at the first scale. */
const steep = { precision: 'float16', mean: [0.4, 0.4, 0.4], std: [0.01, 0.01, 0.01], lr: 1e-5 } as const;

const run = (name: string, settings: Partial<TrainSettings>, more: Partial<TrainOptions> = {}): Promise<TrainReport> =>
  train({ model, output: join(folder, name), data, settings: { ...shared, ...settings }, ...more });

describe('train --precision', () => {
  it('float16 skips updates until the scale fits, tells it, and resumes bit for bit', async () => {
    const notes: string[] = [];
    const whole = await run('whole.onnx', steep);
    const [first, last] = whole.epochs;
    expect(whole.settings['precision']).toBe('float16');
    expect(whole.warnings.join()).toMatch(/float16 is emulated on CPU/);
    expect(first!.skippedUpdates).toBeGreaterThan(0);
    expect(first!.lossScale).toBe(65536 / 2 ** first!.skippedUpdates!);
    expect(first!.steps + first!.skippedUpdates!).toBe(6);
    expect(last!.steps + last!.skippedUpdates!).toBe(12);

    const controller = new AbortController();
    const stopped = await run('parts.onnx', steep, {
      signal: controller.signal,
      progress: {
        step: ({ step, skippedUpdates }) => {
          notes.push(`${step} ${skippedUpdates}`);
          if (step === 3) controller.abort();
        },
        validating: () => {},
        epoch: () => {},
        note: () => {},
        done: () => {},
      },
    });
    expect(stopped.status).toBe('interrupted');
    expect(notes.at(-1)).toMatch(/^3 [1-3]$/);
    const resumed = await run('parts.onnx', steep, { resume: true });
    expect(resumed.status).toBe('finished');
    expect(readFileSync(join(folder, 'parts.onnx')).equals(readFileSync(join(folder, 'whole.onnx')))).toBe(true);
    expect(resumed.epochs.map(({ lossScale, skippedUpdates, loss }) => [lossScale, skippedUpdates, loss])).toEqual(
      whole.epochs.map(({ lossScale, skippedUpdates, loss }) => [lossScale, skippedUpdates, loss]),
    );
  });

  it('float16 with images as bytes and the state on the device writes the same bytes', async () => {
    const options = { model, data, settings: { ...shared, ...steep, epochs: 1 } };
    const [plain, resident] = [join(folder, 'plain.onnx'), join(folder, 'resident.onnx')];
    const { epochs } = await train({ ...options, output: plain });
    await train({ ...options, output: resident }, { isResident: true });
    expect(epochs[0]!.skippedUpdates).toBeGreaterThan(0);
    expect(readFileSync(resident).equals(readFileSync(plain))).toBe(true);
  });

  it('bfloat16 has no scale, and ends where float32 does', async () => {
    const plain = await run('float32.onnx', {});
    const half = await run('bfloat16.onnx', { precision: 'bfloat16' });
    expect(half.epochs[1]).not.toHaveProperty('lossScale');
    expect(plain.epochs[1]).not.toHaveProperty('lossScale');
    // 20 roundings' worth of what the weights move (precision.test.ts).
    expect(Math.abs(half.epochs[1]!.valLoss! - plain.epochs[1]!.valLoss!)).toBeLessThan(20 * 2 ** -8);
    expect(half.epochs[1]!.loss).not.toBe(plain.epochs[1]!.loss);
  });

  it('the form for CUDA, with and without half precision, trains as the portable one does', async () => {
    writeFileSync(join(folder, 'normalized.onnx'), tinyClassifier());
    const last = async (name: string, settings: Partial<TrainSettings>): Promise<number> => {
      const options = { model: join(folder, 'normalized.onnx'), output: join(folder, name), data };
      const { epochs } = await train({ ...options, settings: { ...shared, ...settings } });
      return epochs[1]!.loss;
    };
    const portable = await last('normalized.portable.onnx', {});
    // Other orders of sums: roundings of 2⁻²⁴, grown over 12 updates; then those of half precision.
    expect(Math.abs((await last('normalized.cuda.onnx', { target: 'cuda' })) - portable)).toBeLessThan(1e-4);
    const half = await last('normalized.half.onnx', { target: 'cuda', precision: 'float16' });
    expect(Math.abs(half - portable)).toBeLessThan(20 * 2 ** -11);
  });

  it('a checkpoint of another precision is refused', async () => {
    await run('mixed.onnx', { precision: 'bfloat16', epochs: 1 });
    const failure = await failureOf('USAGE', () =>
      run('mixed.onnx', { precision: 'float16', epochs: 1 }, { resume: true }),
    );
    expect(failure.message).toMatch(/trained with precision "bfloat16", not "float16"/);
  });

  it('the fast form for CPUs is refused', async () => {
    const failure = await failureOf('USAGE', () => run('fast.onnx', { precision: 'float16', target: 'cpu' }));
    expect(failure.message).toMatch(/--target cpu is float32 alone, not float16.*--target portable/);
  });
});
