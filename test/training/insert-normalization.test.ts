import { describe, expect, it } from 'vitest';
import { fillTruncatedNormal, randomStream } from '../../src/random.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { trainedModel } from '../../src/step/export.js';
import { calibrate, foldInserted, insertNormalization } from '../../src/training/insert-normalization.js';
import { prepareTraining } from '../../src/step/prepare.js';
import { defaultGraphSettings } from '../../src/step/settings.js';
import { initialState } from '../../src/step/vectors.js';
import { modelBytes } from '../../src/graph/write.js';
import { tinyClassifier } from '../support/tiny-classifier.js';
import { failureOf } from '../support/errors.js';

const source = tinyClassifier({ hasNormalization: false });
const driver = await loadDriver();
const n = 12;
const images = new Float32Array(n * 3 * 16 * 16);
fillTruncatedNormal(randomStream(1, 'images'), images, 0.3, 1);
const dims = [n, 3, 16, 16];

async function logits(model: Uint8Array): Promise<readonly number[]> {
  const session = await driver.createSession(model);
  const { y } = await session.run({ x: { type: 'float32', dims, data: images } });
  await session.close();
  return [...(y!.data as Float32Array)];
}

async function* batches() {
  for (let at = 0; at < n; at += 4) {
    const size = 4;
    const length = size * 3 * 16 * 16;
    const data = images.slice((at / 4) * length, (at / 4 + 1) * length);
    yield await Promise.resolve({ images: data, labels: new BigInt64Array(size), size, dims: [size, 3, 16, 16] });
  }
}

async function calibrated() {
  const { bytes, layers } = insertNormalization(source, []);
  const prepared = prepareTraining(bytes, { settings: defaultGraphSettings });
  const state = initialState(prepared, 0, false);
  const weights = { ...state, parameterSlots: prepared.parameters, statisticSlots: prepared.statistics };
  await calibrate({ source, layers, driver, session: {}, batches: batches(), signal: undefined }, weights);
  return { bytes, layers, weights };
}

const largest = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);

describe('insertNormalization', () => {
  it('does not change what the model computes, and folds back to its weights', async () => {
    const { bytes, layers, weights } = await calibrated();
    expect(layers.map(({ weight }) => weight)).toEqual(
      ['stem', 'block1.conv1', 'block1.conv2', 'block2.conv1', 'block2.conv2'].map((name) => `${name}.weight`),
    );
    const expected = await logits(source);
    const size = Math.max(...expected.map(Math.abs));
    // Float32 through eleven layers.
    expect(largest(await logits(modelBytes(trainedModel(bytes, weights))), expected)).toBeLessThan(1e-5 * size);
    const folded = modelBytes(trainedModel(source, foldInserted(weights, layers)));
    expect(largest(await logits(folded), expected)).toBeLessThan(1e-5 * size);
    // The statistics are real ones: neither 0 nor 1.
    expect(weights.statistics.some((value) => value === 0 || value === 1)).toBe(false);
  });

  it('folds other scales, shifts and statistics as BatchNormalization computes them', async () => {
    const { bytes, layers, weights } = await calibrated();
    const noise = new Float32Array(weights.parameters.length);
    fillTruncatedNormal(randomStream(2, 'noise'), noise, 0, 0.1);
    const parameters = weights.parameters.map((value, i) => value * (1 + noise[i]!) + noise[i]!);
    const statistics = weights.statistics.map((value, i) => value * (1 + Math.abs(noise[i]!)));
    const changed = { ...weights, parameters, statistics };
    const expected = await logits(modelBytes(trainedModel(bytes, changed)));
    const folded = await logits(modelBytes(trainedModel(source, foldInserted(changed, layers))));
    expect(largest(folded, expected)).toBeLessThan(1e-5 * Math.max(...expected.map(Math.abs)));
    expect(largest(folded, await logits(source))).toBeGreaterThan(1e-2);
  });

  it('leaves frozen convolutions alone, and says where there is nothing to do', async () => {
    expect(insertNormalization(source, ['block*']).layers).toHaveLength(1);
    const error = await failureOf('UNSUPPORTED', () => insertNormalization(tinyClassifier(), []));
    expect(error.fact).toContain('no convolution with a bias');
  });
});
