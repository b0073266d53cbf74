import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Judged, measuredChange, openJudge } from '../../src/convert/agreement.js';
import { openImages } from '../../src/factorize/calibration/open-images.js';
import type { CalibrationImages } from '../../src/factorize/calibration/types.js';
import { convert } from '../../src/convert/convert.js';
import { prepareModel } from '../../src/rewrite/prepare.js';
import { readModel } from '../../src/graph/read.js';
import { modelBytes } from '../../src/graph/write.js';
import { endOfModel } from '../../src/passes/classifier-end.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { calibration } from '../../src/images/calibrate.js';
import { temporaryFolder } from '../support/command.js';
import { buildModel, type TestNode } from '../support/models.js';
import { hasShared, modelPath, sharedFolder } from '../support/shared.js';
import { imagesOf } from '../factorize/support/images.js';
import { measureAgreement } from '../factorize/support/measure-agreement.js';
import { normals } from '../factorize/support/weights.js';

const driver = await loadDriver();
const session = { threads: 1 };
const folder = temporaryFolder();
const [inputs, classes] = [6, 4];

interface Head {
  /** From `z` [n, classes], the logits. */
  readonly nodes: readonly TestNode[];
  readonly outputs?: readonly {
    readonly name: string;
    readonly type?: 'int64';
    readonly dims: readonly (number | string)[];
  }[];
}

/** z = xW: `noise` moves the weights. */
function linear({ nodes, outputs = [{ name: 'y', dims: ['n', classes] }] }: Head, noise = 0): Uint8Array {
  const moved = normals(inputs * classes, 8, 'noise');
  const data = Float32Array.from(normals(inputs * classes, 7, 'weight'), (value, i) => value + noise * moved[i]!);
  return buildModel({
    inputs: [{ name: 'x', dims: ['n', inputs] }],
    outputs,
    nodes: [{ op: 'MatMul', inputs: ['x', 'w'], outputs: ['z'] }, ...nodes],
    initializers: [{ name: 'w', dims: [inputs, classes], data }],
  });
}

const end = (op: string): Head => ({ nodes: [{ op, inputs: ['z'], outputs: ['y'] }] });

function compare(
  original: Uint8Array,
  converted: Uint8Array,
  images: CalibrationImages = imagesOf('x', [3, inputs], [3, 3, 2]),
): Promise<Judged> {
  const { kind } = endOfModel(readModel(original));
  return measureAgreement(original, converted, images, { end: kind, driver, session, seed: 1, signal: undefined });
}

/** The logits of each image. */
async function logits(model: Uint8Array, images: CalibrationImages): Promise<number[][]> {
  const running = await driver.createSession(model, session);
  const rows: number[][] = [];
  for await (const { feeds, size } of images.batches()) {
    const y = (await running.run(feeds))['y']!.data as Float32Array;
    for (let i = 0; i < size; i++) rows.push([...y.subarray((i * y.length) / size, ((i + 1) * y.length) / size)]);
  }
  await running.close();
  return rows;
}

function softmax(z: readonly number[]): number[] {
  const powers = z.map((value) => Math.exp(value));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

const first = (values: readonly number[]): number => values.indexOf(Math.max(...values));

/** Of logits, by the definitions. */
function expected(before: readonly number[][], after: readonly number[][]) {
  const kls = before.map((z, row) => {
    const q = softmax(after[row]!);
    return softmax(z).reduce((sum, p, i) => sum + p * Math.log(p / q[i]!), 0);
  });
  const square = (values: readonly number[]): number => values.reduce((sum, value) => sum + value ** 2, 0);
  const errors = square(before.flatMap((z, row) => z.map((value, i) => after[row]![i]! - value)));
  return {
    top1: before.filter((z, row) => first(z) === first(after[row]!)).length / before.length,
    kl: kls.reduce((sum, value) => sum + value, 0) / kls.length,
    relativeError: Math.sqrt(errors / square(before.flat())),
  };
}

describe('the agreement of two models', () => {
  const noise = 0.3;
  const plain = end('Identity');
  const images = imagesOf('x', [3, inputs], [3, 3, 2]);

  it('is what its definition says', async () => {
    const [original, converted] = [linear(plain), linear(plain, noise)];
    const { agreement, warnings } = await compare(original, converted);
    const should = expected(await logits(original, images), await logits(converted, images));
    expect(should.kl).toBeGreaterThan(0.01);
    expect(warnings).toEqual([]);
    expect(agreement).toMatchObject({ data: 'drawn', images: 8, top1: { share: should.top1 } });
    // The same float32 outputs, summed in float64 in another order.
    expect(agreement!.kl!.mean).toBeCloseTo(should.kl, 12);
    expect(agreement!.outputs).toEqual([
      { name: 'y', relativeError: expect.closeTo(should.relativeError, 12) as number },
    ]);
    const [low, high] = agreement!.kl!.ci95;
    expect(low).toBeLessThan(should.kl);
    expect(high).toBeGreaterThan(should.kl);
    expect(low).toBeGreaterThanOrEqual(0);
    expect(measuredChange(agreement!, 'kl')).toBe(agreement!.kl!.mean);
    expect(measuredChange(agreement!, 'squared-error')).toBeCloseTo(should.relativeError ** 2 / 2, 12);
  });

  it('is whole with itself, and the batches do not matter', async () => {
    const model = linear(plain);
    const { agreement } = await compare(model, model);
    expect(agreement).toMatchObject({
      top1: { share: 1 },
      kl: { mean: 0, ci95: [0, 0] },
      outputs: [{ relativeError: 0 }],
    });
    expect(agreement!.top1!.ci95[1]).toBe(1);
    const other = await compare(model, linear(plain, noise), imagesOf('x', [8, inputs], [8]));
    const { agreement: usual } = await compare(model, linear(plain, noise));
    expect(other.agreement!.top1).toEqual(usual!.top1);
    expect(other.agreement!.kl!.mean).toBeCloseTo(usual!.kl!.mean, 6);
  });

  it.each(['Softmax', 'LogSoftmax'])('sees the same divergence through a %s', async (op) => {
    const [{ agreement }, { agreement: usual }] = [
      await compare(linear(end(op)), linear(end(op), noise)),
      await compare(linear(plain), linear(plain, noise)),
    ];
    expect(agreement!.top1).toEqual(usual!.top1);
    // float32 rounds probabilities and logarithms of order 1 by 6e-8 each.
    expect(agreement!.kl!.mean).toBeCloseTo(usual!.kl!.mean, 5);
  });

  it('has no first class where classes do not exclude each other', async () => {
    const { agreement } = await compare(linear(end('Sigmoid')), linear(end('Sigmoid'), noise));
    expect(agreement!.top1).toBeNull();
    expect(agreement!.kl!.mean).toBeGreaterThan(0);
  });

  it('takes classes with axes of 1, and no maps', async () => {
    const reshaped = (dims: readonly (number | string)[], shape: readonly number[]): Head => ({
      nodes: [
        {
          op: 'Constant',
          inputs: [],
          outputs: ['shape'],
          attributes: {
            value: { name: 'v', type: 'int64', dims: [shape.length], data: BigInt64Array.from(shape, BigInt) },
          },
        },
        { op: 'Reshape', inputs: ['z', 'shape'], outputs: ['y'] },
      ],
      outputs: [{ name: 'y', dims }],
    });
    const usual = await compare(linear(plain), linear(plain, noise));
    const nhwc = reshaped(['n', 1, 1, classes], [-1, 1, 1, classes]);
    expect((await compare(linear(nhwc), linear(nhwc, noise))).agreement).toEqual(usual.agreement);
    const map = reshaped(['n', 2, 2], [-1, 2, 2]);
    expect((await compare(linear(map), linear(map, noise))).agreement).toEqual({
      ...usual.agreement,
      top1: null,
      kl: null,
    });
  });

  it('counts every output of floats, and those alone', async () => {
    const two: Head = {
      nodes: [
        { op: 'Softmax', inputs: ['z'], outputs: ['y'] },
        { op: 'ArgMax', inputs: ['z'], outputs: ['label'], attributes: { axis: 1, keepdims: 0 } },
        { op: 'Relu', inputs: ['z'], outputs: ['features'] },
      ],
      outputs: [
        { name: 'y', dims: ['n', classes] },
        { name: 'label', type: 'int64', dims: ['n'] },
        { name: 'features', dims: ['n', classes] },
      ],
    };
    const { agreement } = await compare(linear(two), linear(two, noise));
    expect(agreement!.outputs.map(({ name }) => name)).toEqual(['y', 'features']);
    for (const { relativeError } of agreement!.outputs) expect(relativeError).toBeGreaterThan(0);
  });

  it('says why there is none', async () => {
    const logarithm: Head = { nodes: [{ op: 'Log', inputs: ['z'], outputs: ['y'] }] };
    const none = await compare(linear(logarithm), linear(logarithm, noise));
    expect(none).toEqual({
      agreement: undefined,
      warnings: [
        "the agreement with the original was not measured: output 'y' is no distribution of classes on some of the images",
      ],
    });
    const label: Head = {
      nodes: [{ op: 'ArgMax', inputs: ['z'], outputs: ['y'], attributes: { axis: 1, keepdims: 0 } }],
      outputs: [{ name: 'y', type: 'int64', dims: ['n'] }],
    };
    expect((await compare(linear(label), linear(label))).warnings).toEqual([
      expect.stringContaining('no output of floats'),
    ]);
    const narrow: Head = {
      nodes: [{ op: 'ReduceMax', inputs: ['z'], outputs: ['y'], attributes: { keepdims: 0 } }],
      outputs: [{ name: 'y', dims: [] }],
    };
    expect((await compare(linear(plain), linear(narrow))).warnings).toEqual([
      expect.stringContaining("'y' has another shape"),
    ]);
  });

  it('leaves out the error of an output that is 0', async () => {
    const zero: Head = {
      nodes: [
        { op: 'Identity', inputs: ['z'], outputs: ['y'] },
        { op: 'Sub', inputs: ['z', 'z'], outputs: ['nothing'] },
      ],
      outputs: [
        { name: 'y', dims: ['n', classes] },
        { name: 'nothing', dims: ['n', classes] },
      ],
    };
    const some: Head = { ...zero, nodes: [zero.nodes[0]!, { op: 'Relu', inputs: ['z'], outputs: ['nothing'] }] };
    const { agreement, warnings } = await compare(linear(zero), linear(some));
    expect(agreement!.outputs.map(({ name }) => name)).toEqual(['y']);
    expect(warnings).toEqual(["output 'nothing' of the original is 0 on all images: it has no relative error"]);
  });

  it('compares some numbers of large outputs, which estimates the error', async () => {
    const side = 200;
    const scaled = (weights: readonly number[]): Uint8Array =>
      buildModel({
        inputs: [{ name: 'x', dims: ['n', 2, side, side] }],
        outputs: [{ name: 'y', dims: ['n', 2, side, side] }],
        nodes: [{ op: 'Mul', inputs: ['x', 'w'], outputs: ['y'] }],
        initializers: [{ name: 'w', dims: [1, 2, 1, 1], data: Float32Array.from(weights) }],
      });
    const pictures = imagesOf('x', [2, 2, side, side], [2, 2]);
    const { agreement } = await compare(scaled([1, 3]), scaled([1, 2.7]), pictures);
    // 4 images of 2^14 numbers out of 80,000: the share of the second half of the squares is off by about 1 %.
    const exact = Math.sqrt(0.3 ** 2 / (1 + 3 ** 2));
    expect(Math.abs(agreement!.outputs[0]!.relativeError / exact - 1)).toBeLessThan(0.03);
    expect(agreement!.outputs[0]!.relativeError).not.toBe(exact);
    expect(agreement).toMatchObject({ top1: null, kl: null });
  });

  it('runs the original once, and counts images', async () => {
    let passes = 0;
    const counted: CalibrationImages = { ...images, batches: () => (passes++, images.batches()) };
    const counts: string[] = [];
    const judge = await openJudge(linear(plain), counted, {
      ...{ end: 'logits', driver, session, seed: 1, signal: undefined },
      onImages: (done, total) => counts.push(`original ${done}/${total}`),
    });
    for (const scale of [0.1, 0.5]) {
      const { agreement } = await judge.measure(linear(plain, scale), (done, total) => counts.push(`${done}/${total}`));
      expect(agreement).toEqual((await compare(linear(plain), linear(plain, scale))).agreement);
    }
    expect(passes).toBe(3);
    expect(counts.slice(0, 4)).toEqual(['original 3/8', 'original 6/8', 'original 8/8', '3/8']);
  });
});

describe.skipIf(!hasShared)('the agreement of real models', () => {
  it.each([
    ['cifar10-resnet20-pt1.6-op9-bn.onnx', 'logits'],
    ['st-resnetv1-8-cifar10.onnx', 'softmax'],
  ] as const)(
    '%s (%s): falls with the ranks',
    async (name, kind) => {
      const path = modelPath(name);
      const { model } = await prepareModel(path);
      const context = { path, driver, session, signal: undefined };
      const calibrate = calibration(join(sharedFolder, 'data/images/cifar10/test'), { images: 48 });
      const { copy, shapes, images } = await openImages(calibrate, { ...context, model, seed: 1 });
      try {
        const end = endOfModel(copy, shapes);
        expect(end.kind).toBe(kind);
        const judge = await openJudge(modelBytes(copy), images, {
          end: end.kind,
          driver,
          session,
          seed: 1,
          signal: undefined,
        });
        const same = await judge.measure(modelBytes(copy));
        expect(same.agreement).toMatchObject({ images: 48, top1: { share: 1 }, kl: { mean: 0 } });
        const found = [];
        for (const rankScale of [0.7, 0.2]) {
          const output = join(folder, `${name}.${rankScale}.onnx`);
          await convert(path, { output, rankScale, init: 'spectral' });
          const converted = readModel(readFileSync(output));
          const batched = await openImages(calibrate, { ...context, model: converted, seed: 1 });
          found.push((await judge.measure(modelBytes(batched.copy))).agreement!);
          await batched.images.close();
        }
        const [high, low] = found;
        expect(high!.top1!.share).toBeGreaterThan(low!.top1!.share);
        expect(high!.kl!.ci95[1]).toBeLessThan(low!.kl!.ci95[0]);
        expect(high!.outputs[0]!.relativeError).toBeLessThan(low!.outputs[0]!.relativeError);
      } finally {
        await images.close();
        model.file?.close();
      }
    },
    120_000,
  );
});
