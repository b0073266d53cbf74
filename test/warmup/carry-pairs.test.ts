import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { convert } from '../../src/convert/usual-calls.js';
import { readModel } from '../../src/graph/read.js';
import { createLinalg } from '../../src/linalg/linalg.js';
import type { Linalg } from '../../src/linalg/types.js';
import { fillTruncatedNormal, randomStream } from '../../src/random.js';
import { loadDriver } from '../../src/runtime/driver.js';
import type { TrainedTensor, TrainedTensors } from '../../src/step/laid-out.js';
import { carryPairs, type CutLayer, cutLayers } from '../../src/warmup/carry-pairs.js';
import { temporaryFolder } from '../support/command.js';
import { tinyClassifier } from '../support/tiny-classifier.js';

const folder = temporaryFolder();
const full = join(folder, 'full.onnx');
let linalg: Linalg;

beforeAll(async () => {
  writeFileSync(full, tinyClassifier());
  linalg = await createLinalg({ driver: await loadDriver(), threads: 1 });
});
afterAll(() => linalg.close());

function random(name: string, length: number): Float32Array {
  const data = new Float32Array(length);
  fillTruncatedNormal(randomStream(7, name), data, 0, 1);
  return data;
}

/** All tensors of a model, with buffers of random gradients and of squares above theirs, or of zeros. */
function tensorsIn(path: string, buffers: 'random' | 'zeros'): TrainedTensors {
  const model = readModel(path);
  const tensors = model.graph.initializers.map(({ name, tensor }): [string, TrainedTensor] => {
    const { dims } = tensor!;
    const value = tensor!.toFloat32();
    const mean = random(name, value.length);
    const zeros = (): Float32Array => new Float32Array(value.length);
    const square = mean.map((each) => 2 * each ** 2);
    const own = buffers === 'zeros' ? [zeros(), zeros()] : [mean, square];
    return [name, { shape: dims, value, buffers: own, average: undefined }];
  });
  model.file?.close();
  return new Map(tensors);
}

/** The weight that factors stand for, as it is stored: [out, in, kh, kw], or [out, in]. */
function productOf({ scheme, geometry }: CutLayer, [v, u]: readonly [TrainedTensor, TrainedTensor]): Float32Array {
  const { out, in: inputs, kernel } = geometry;
  const [kh, kw] = kernel;
  const rank = scheme === 'dense' ? v.shape[1]! : v.shape[0]!;
  const product = new Float32Array(out * inputs * kh * kw);
  for (let at = 0; at < product.length; at++) {
    const [x, y] = [at % kw, Math.floor(at / kw) % kh];
    const [i, o] = [Math.floor(at / (kw * kh)) % inputs, Math.floor(at / (kw * kh * inputs))];
    for (let k = 0; k < rank; k++) {
      const first =
        scheme === 'dense'
          ? i * rank + k
          : scheme === 'channel'
            ? ((k * inputs + i) * kh + y) * kw + x
            : (k * inputs + i) * kw + x;
      const last = scheme === 'spatial' ? (o * rank + k) * kh + y : o * rank + k;
      product[at]! += v.value[first]! * u.value[last]!;
    }
  }
  return product;
}

const dot = (a: Float32Array, b: Float32Array): number => a.reduce((sum, value, i) => sum + value * b[i]!, 0);

describe.each(['channel', 'spatial'] as const)('the optimizer of a weight that becomes a %s pair', (scheme) => {
  let layers: readonly CutLayer[];
  let before: TrainedTensors;
  let pairs: string;
  beforeAll(async () => {
    pairs = join(folder, `${scheme}.onnx`);
    const options = { scheme, rankScale: 0.5, init: 'spectral', keepLast: false, allowBigger: true } as const;
    await convert(full, { ...options, output: pairs, calibrate: 'none', threads: 1 });
    layers = await cutLayers(full, pairs);
    before = tensorsIn(full, 'random');
  });

  it('has what the chain rule makes of the sum of gradients', async () => {
    const behind = tensorsIn(pairs, 'zeros');
    await carryPairs(layers, 'adam', linalg, before, behind);
    expect(layers.map((layer) => layer.scheme)).toEqual([scheme, scheme, scheme, scheme, 'dense']);
    for (const layer of layers) {
      const factors = layer.factors.map((name) => behind.get(name)!) as [TrainedTensor, TrainedTensor];
      const gradient = before.get(layer.weight)!.buffers[0]!;
      for (const [moved, factor] of factors.entries()) {
        // The product is linear in each factor: its gradient along any direction is that of the weight along the product's.
        const direction = random(`${layer.weight} ${moved}`, factor.value.length);
        const along = factors.map((each, at) => (at === moved ? Object.assign({}, each, { value: direction }) : each));
        const expected = dot(gradient, productOf(layer, along as [TrainedTensor, TrainedTensor]));
        // Sums of some hundred products of numbers around 1, in float32.
        expect(dot(factor.buffers[0]!, direction)).toBeCloseTo(expected, 3);
      }
    }
  });

  it('has mean squares that no step of Adam is longer by than its rate', async () => {
    const behind = tensorsIn(pairs, 'zeros');
    await carryPairs(layers, 'adamw', linalg, before, behind);
    let isAbove = false;
    for (const name of layers.flatMap(({ factors }) => factors)) {
      const [mean, square] = behind.get(name)!.buffers as [Float32Array, Float32Array];
      for (const [i, value] of square.entries()) {
        expect(value).toBeGreaterThanOrEqual(Math.fround(mean[i]! ** 2));
        isAbove ||= value > 1.5 * mean[i]! ** 2;
      }
      expect(square.some((value) => value > 0)).toBe(true);
    }
    expect(isAbove).toBe(true);
  });

  it('is that of its own rule: momentum of SGD moves, steps of RMSprop begin at zero', async () => {
    const only = (tensors: TrainedTensors): TrainedTensors =>
      new Map([...tensors].map(([name, tensor]) => [name, { ...tensor, buffers: tensor.buffers.slice(0, 1) }]));
    const sgd = only(tensorsIn(pairs, 'zeros'));
    await carryPairs(layers, 'sgd', linalg, only(before), sgd);
    const rmsprop = tensorsIn(pairs, 'zeros');
    await carryPairs(layers, 'rmsprop', linalg, before, rmsprop);
    for (const name of layers.flatMap(({ factors }) => factors)) {
      expect(sgd.get(name)!.buffers[0]!.some((value) => value !== 0)).toBe(true);
      expect(rmsprop.get(name)!.buffers[1]!.every((value) => value === 0)).toBe(true);
    }
  });
});
