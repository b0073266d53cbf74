import { readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { createLoader, type LoaderOptions } from '../../src/data/loader.js';
import { NORMALIZATIONS, type OutputFormat } from '../../src/data/normalize.js';
import { openSource } from '../../src/data/open.js';
import type { ImageSource } from '../../src/data/types.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { buildEvalGraph } from '../../src/step/eval-graph.js';
import { buildGradientGraph } from '../../src/step/gradient-graph.js';
import { train } from '../../src/training/loop.js';
import { prepareTraining } from '../../src/step/prepare.js';
import { defaultGraphSettings } from '../../src/step/settings.js';
import { initialState } from '../../src/step/vectors.js';
import { temporaryFolder } from '../support/command.js';
import { tinyClassifier, writeTextures } from '../support/tiny-classifier.js';

const folder = temporaryFolder();
const data = join(folder, 'photos');
const model = join(folder, 'model.onnx');
const normalization = NORMALIZATIONS.imagenet;
const bytes: OutputFormat = { type: 'uint8', layout: 'nhwc', normalization, reportsFlips: true };
let source: ImageSource;

beforeAll(async () => {
  await writeTextures(join(data, 'train'), 24, 1);
  await writeTextures(join(data, 'val'), 4, 2);
  writeFileSync(model, tinyClassifier());
  source = await openSource(data, { split: 'train' });
  return () => source.close();
});

/** The first batch of an epoch, copied. */
async function firstBatch(format: OutputFormat, more: Partial<LoaderOptions> = {}) {
  const transform = { kind: 'random-resized-crop', width: 16, height: 16 } as const;
  const loader = createLoader({ source, transform, format, batchSize: 8, workers: 0, shuffle: true, ...more });
  try {
    for await (const { images, labels, flips, dims } of loader.batches(0)) {
      return { images: images.slice(), labels: labels.slice(), flips: flips?.slice(), dims };
    }
    throw new Error('no batch');
  } finally {
    await loader.close();
  }
}

describe('images that cross as bytes', () => {
  it('the loader gives them as they were, and says which are mirrored; workers change nothing', async () => {
    const reported = await firstBatch(bytes);
    expect(reported.images).toBeInstanceOf(Uint8Array);
    const flips = [...reported.flips!];
    expect(new Set(flips)).toEqual(new Set([0, 1]));
    expect(await firstBatch(bytes, { workers: 2 })).toEqual(reported);
    const { reportsFlips: _, ...plain } = bytes;
    const applied = await firstBatch(plain);
    expect(applied.flips).toBeUndefined();
    for (const [i, flip] of flips.entries()) {
      for (let y = 0; y < 16; y++) {
        for (let x = 0; x < 16; x++) {
          const at = (column: number): number => ((i * 16 + y) * 16 + column) * 3;
          const from = at(flip === 1 ? 15 - x : x);
          expect([...applied.images.subarray(at(x), at(x) + 3)]).toEqual([...reported.images.subarray(from, from + 3)]);
        }
      }
    }
  });

  it('give the bits of the float path: loss, gradient, statistics, and logits of the eval graph', async () => {
    const batch = 8;
    const settings = defaultGraphSettings;
    const prepared = prepareTraining(model, { settings, imageSize: 16 });
    const state = initialState(prepared, 0, false);
    const driver = await loadDriver();
    const vector = (values: Float32Array) => ({ type: 'float32', dims: [values.length], data: values }) as const;
    const weights = { parameters: vector(state.parameters), statistics: vector(state.statistics) };
    const floats = await firstBatch({ type: 'float32', layout: 'nchw', normalization });
    const pixels = await firstBatch(bytes);
    const labels = { type: 'int64', dims: [batch], data: floats.labels } as const;
    expect(pixels.labels).toEqual(floats.labels);
    const emit = { batch, isBatchOpen: false };
    const run = async (
      graph: Uint8Array,
      feeds: Parameters<Awaited<ReturnType<typeof driver.createSession>>['run']>[0],
    ) => {
      const session = await driver.createSession(graph, { graphOptimization: 'disabled', threads: 1 });
      try {
        return await session.run({ ...weights, labels, ...feeds });
      } finally {
        await session.close();
      }
    };
    const floatImages = { type: 'float32', dims: floats.dims, data: floats.images } as const;
    const byteImages = { type: 'uint8', dims: pixels.dims, data: pixels.images } as const;
    const flips = { type: 'bool', dims: [batch], data: pixels.flips! } as const;
    const byFloats = buildGradientGraph(prepared, settings, emit);
    const byBytes = buildGradientGraph(prepared, settings, emit, undefined, undefined, {
      normalization,
      hasFlips: true,
    });
    expect(byBytes.images).toEqual({ type: 'uint8', dims: [16, 16, 3] });
    const expected = await run(byFloats.bytes(), { images: floatImages });
    expect(Number.isFinite(expected['gradient']!.data[0])).toBe(true);
    expect(await run(byBytes.bytes(), { images: byteImages, flips })).toEqual(expected);

    const plain = await firstBatch(bytes, { transform: { kind: 'center-crop', width: 16, height: 16, resize: 16 } });
    const same = await firstBatch(
      { type: 'float32', layout: 'nchw', normalization },
      { transform: { kind: 'center-crop', width: 16, height: 16, resize: 16 } },
    );
    const open = { batch, isBatchOpen: true };
    expect(
      await run(buildEvalGraph(prepared, open, { normalization }).bytes(), {
        images: { type: 'uint8', dims: plain.dims, data: plain.images },
      }),
    ).toEqual(
      await run(buildEvalGraph(prepared, open).bytes(), {
        images: { type: 'float32', dims: same.dims, data: same.images },
      }),
    );
  });

  it('a training with them writes the bytes of one without, with every way to augment, grey images too', async () => {
    const shared = { epochs: 1, lr: 0.05, batchSize: 12, workers: 0, threads: 1, target: 'portable' } as const;
    const grey = join(folder, 'grey.onnx');
    writeFileSync(grey, tinyClassifier({ channels: 1 }));
    for (const [start, augment] of [
      [model, 'crop'],
      [model, 'pad'],
      [model, 'none'],
      [grey, 'pad'],
    ] as const) {
      const name = `${basename(start, '.onnx')}-${augment}`;
      const [plain, byBytes] = ['plain', 'bytes'].map((way) => join(folder, `${name}-${way}.onnx`));
      const settings = { ...shared, augment };
      const expected = await train({ model: start, output: plain!, data, settings });
      const mode = { isResident: true, readEvery: 4, hasByteImages: true };
      const actual = await train({ model: start, output: byBytes!, data, settings }, mode);
      expect(readFileSync(byBytes!).equals(readFileSync(plain!))).toBe(true);
      expect(actual.epochs[0]!.valLoss).toBe(expected.epochs[0]!.valLoss);
    }
  });
});
