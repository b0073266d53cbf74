import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CalibrationBatch, CalibrationImages } from '../../src/factorize/calibration/types.js';
import { readModel } from '../../src/graph/read.js';
import { loadDriver } from '../../src/runtime/driver.js';
import type { Session } from '../../src/runtime/types.js';
import { openClassGradient } from '../../src/images/class-gradient.js';
import { inputsOf, imageInputOf } from '../../src/images/image-input.js';
import { syntheticCalibration, type SyntheticSettings } from '../../src/images/synthetic.js';
import { defaultClassSteps } from '../../src/images/toward-classes.js';
import { buildModel } from '../support/models.js';
import { tinyClassifier } from '../support/tiny-classifier.js';

/** Of few classes too. */
const steps = { ...defaultClassSteps, fewestClasses: 2 };
const most = { largestBatch: 2, fewestClasses: 2 };
const driver = await loadDriver();
const model = tinyClassifier({ classes: 5 });
const context = { path: 'model.onnx', driver, session: {}, signal: undefined };

let session: Session;
beforeAll(async () => {
  session = await driver.createSession(model, {});
});
afterAll(async () => {
  await session.close();
});

async function softmaxOf(data: Float32Array, dims: readonly number[]): Promise<number[][]> {
  const [output] = Object.values(await session.run({ x: { type: 'float32', dims, data } }));
  const logits = output!.data as Float32Array;
  return Array.from({ length: dims[0]! }, (_, image) => {
    const powers = Array.from(logits.subarray(5 * image, 5 * image + 5), (z) => Math.exp(z));
    const sum = powers.reduce((total, power) => total + power, 0);
    return powers.map((power) => power / sum);
  });
}

async function drawn(
  bytes: Uint8Array,
  chosen: Partial<SyntheticSettings> = {},
): Promise<{ images: CalibrationImages; batches: readonly CalibrationBatch[] }> {
  const settings = { images: 6, normalization: 'unit', towardClasses: steps, ...chosen };
  const images = await syntheticCalibration(settings)(readModel(bytes), 4, context);
  const batches: CalibrationBatch[] = [];
  for await (const batch of images.batches()) batches.push(batch);
  return { images, batches };
}

const dataOf = ({ feeds }: CalibrationBatch): Float32Array => Object.values(feeds)[0]!.data as Float32Array;

describe('the gradient of classes by images', () => {
  it('is that of the cross-entropy', async () => {
    const graph = readModel(model);
    const input = imageInputOf({ inputs: inputsOf(graph) }, 'model.onnx', null);
    const gradient = (await openClassGradient(graph, input, most, context))!;
    try {
      expect([gradient.classes, gradient.batch]).toEqual([5, 2]);
      const images = Float32Array.from({ length: 2 * 768 }, (_, at) => ((at * 37) % 101) / 101);
      const targets = [1, 4];
      const found = await gradient.run(images, targets);
      const loss = async (pixels: Float32Array): Promise<number> => {
        const p = await softmaxOf(pixels, [2, 3, 16, 16]);
        return targets.reduce((sum, target, image) => sum - Math.log(p[image]![target]!), 0);
      };
      const p = await softmaxOf(images, [2, 3, 16, 16]);
      p.flat().forEach((value, at) => expect(found.probabilities[at]).toBeCloseTo(value, 5));
      // Along the gradient itself, where rounding matters least.
      const square = found.gradient.reduce((sum, value) => sum + value * value, 0);
      const step = 1e-3 / Math.sqrt(square);
      const [up, down] = [1, -1].map((sign) => images.map((value, at) => value + sign * step * found.gradient[at]!));
      const difference = ((await loss(up!)) - (await loss(down!))) / (2 * step);
      expect(difference / square).toBeCloseTo(1, 2);
    } finally {
      await gradient.close();
    }
  });

  it('is missing where there are no classes, or no numbers to move', async () => {
    const field = { name: 'x', dims: ['n', 3, 16, 16] };
    const same = buildModel({
      inputs: [field],
      outputs: [{ ...field, name: 'y' }],
      nodes: [{ op: 'Identity', inputs: ['x'], outputs: ['y'] }],
    });
    const graph = readModel(same);
    const input = imageInputOf({ inputs: inputsOf(graph) }, 'model.onnx', null);
    expect(await openClassGradient(graph, input, most, context)).toBeUndefined();
    const bytes = { ...input, type: 'uint8' } as const;
    expect(await openClassGradient(readModel(model), bytes, most, context)).toBeUndefined();
    const { images } = await drawn(same);
    expect(images.summary().towardClasses).toBeUndefined();
    await images.close();
  });
});

describe('pictures moved toward classes', () => {
  it('are more of their classes than those that were drawn', async () => {
    const plain = await drawn(model, { towardClasses: null });
    expect(plain.images.summary().towardClasses).toBeUndefined();
    const moved = await drawn(model);
    expect(moved.images.summary()).toMatchObject({ images: 6, towardClasses: 6 });
    const before = await softmaxOf(dataOf(plain.batches[0]!), [4, 3, 16, 16]);
    const after = await softmaxOf(dataOf(moved.batches[0]!), [4, 3, 16, 16]);
    // Each picture goes toward one class, and those in a row toward different ones.
    const rises = after.map((p, image) => p.map((value, c) => value - before[image]![c]!));
    const targets = rises.map((own) => own.indexOf(Math.max(...own)));
    expect(new Set(targets).size).toBe(4);
    rises.forEach((own, image) => expect(own[targets[image]!]).toBeGreaterThan(0.02));
    for (const value of dataOf(moved.batches[0]!)) {
      expect(value).toBeGreaterThanOrEqual(0);
      expect(value).toBeLessThanOrEqual(1);
    }
    await Promise.all([plain.images.close(), moved.images.close()]);
  });

  it('stay as they were drawn for a model of few classes', async () => {
    const usual = await drawn(model, { towardClasses: defaultClassSteps });
    expect(usual.images.summary().towardClasses).toBeUndefined();
    await usual.images.close();
    const many = await drawn(tinyClassifier({ classes: 100 }), { towardClasses: defaultClassSteps, images: 2 });
    expect(many.images.summary().towardClasses).toBe(2);
    await many.images.close();
  });

  it('stay where the model is sure enough', async () => {
    const plain = await drawn(model, { towardClasses: null });
    const sure = await drawn(model, { towardClasses: { ...steps, enough: 0 } });
    expect(sure.batches.map(dataOf)).toEqual(plain.batches.map(dataOf));
    await Promise.all([plain.images.close(), sure.images.close()]);
  });

  it('are the same again, from any first picture and however many a run takes', async () => {
    const [one, other] = [await drawn(model), await drawn(model)];
    expect(other.batches.map(dataOf)).toEqual(one.batches.map(dataOf));
    const later = await drawn(model, { first: 4, images: 2 });
    expect(dataOf(later.batches[0]!)).toEqual(dataOf(one.batches[1]!));
    await Promise.all([one, other, later].map(({ images }) => images.close()));
  });

  it('are made anew for another model once none is open any more', async () => {
    const calibrate = syntheticCalibration({ images: 4, normalization: 'unit', towardClasses: steps });
    const shown = async (bytes: Uint8Array): Promise<Float32Array> => {
      const images = await calibrate(readModel(bytes), 4, context);
      const batches: CalibrationBatch[] = [];
      for await (const batch of images.batches()) batches.push(batch);
      await images.close();
      await images.close();
      return dataOf(batches[0]!);
    };
    const first = await shown(model);
    expect(await shown(tinyClassifier({ classes: 5, seed: 9 }))).not.toEqual(first);
    expect(await shown(model)).toEqual(first);
  });
});
