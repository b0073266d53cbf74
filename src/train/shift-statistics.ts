import { LowrankError, throwIfAborted } from '../errors.js';
import type { Calibrate } from '../factorize/calibration/types.js';
import type { Recalibrate, RecalibrateContext } from '../factorize/convert.js';
import type { Model } from '../graph/model.js';
import { readModel } from '../graph/read.js';
import { modelBytes } from '../graph/write.js';
import { resolveWeight } from '../ops/resolve-weight.js';
import { toInferenceForm } from '../passes/inference-form.js';
import { poolStatistics, type PooledStatistics } from './pooled-statistics.js';
import { storeStatistics } from './recalibrate.js';
import { observeStatistics, reasonToKeep } from './statistics-graph.js';

/** Pictures that are normalized together. */
const batch = 32;

/**
 * Moves the running statistics of BatchNormalization by what the factorization moves them by on pictures that are not those of
 * the training: the mean by the difference to the original's, in units of its deviation, the variance by their ratio.
 * What the pictures' own statistics are does not matter then; with images like those of the training, `recalibration`
 * estimates them anew. As there, every BatchNormalization normalizes by its batch while it is observed. Throws as
 * `recalibration`; a model without BatchNormalization stays as it is.
 */
export function statisticsShift(calibrate: Calibrate): Recalibrate {
  const shift: Recalibrate = Object.assign(
    async (model: Model, context: RecalibrateContext) => {
      const started = performance.now();
      const layers = model.graph.nodes.filter((node) => node.is('BatchNormalization'));
      const kept = layers.flatMap((node) => {
        const reason = reasonToKeep(model.graph, node);
        return reason === undefined ? [] : [{ name: node.id, reason }];
      });
      if (kept.length === layers.length) {
        const none = { images: 0, batchSize: batch, imageSize: 0, layers: 0, badImages: 0, seconds: 0 };
        const normalization = { mean: [], deviation: [] };
        return { report: { data: '', normalization, kept, ...none }, warnings: [] };
      }
      const original = readModel(context.path);
      try {
        toInferenceForm(original);
        const after = await observe(model, calibrate, context);
        const before = await observe(original, calibrate, context);
        let moved = 0;
        for (const [layer, is] of after.pools) {
          const was = before.pools.get(layer);
          const node = model.graph.value(layer)?.producer;
          if (was === undefined || node === undefined || isFresh(model, node)) continue;
          move(model, node, was, is);
          moved++;
        }
        const { data, images, imageSize, normalization } = after;
        const seconds = (performance.now() - started) / 1000;
        const report = { data, images, batchSize: batch, imageSize, layers: moved };
        return { report: { ...report, normalization, badImages: 0, kept, seconds }, warnings: [] };
      } finally {
        original.file?.close();
      }
    },
    { paths: [], isPartOfFit: true as const },
  );
  return shift;
}

type Node = NonNullable<NonNullable<ReturnType<Model['graph']['value']>>['producer']>;

/** Statistics that nothing was averaged into yet: 0 and 1. */
function isFresh({ graph }: Model, { inputs }: Node): boolean {
  const isAll = (index: number, value: number): boolean =>
    resolveWeight(graph, inputs[index]!)!
      .data()
      .every((each) => each === value);
  return isAll(3, 0) && isAll(4, 1);
}

/** Below this share of the original's variance, and beyond its inverse, the pictures tell nothing of a channel. */
const leastRatio = 0.05;

function move(model: Model, node: Node, was: PooledStatistics, is: PooledStatistics): void {
  const [mean, variance] = [3, 4].map((index) => resolveWeight(model.graph, node.inputs[index]!)!.data());
  const [before, after] = [was.variance(), is.variance()];
  const means = new Float32Array(mean!.length);
  const variances = new Float32Array(mean!.length);
  for (let c = 0; c < means.length; c++) {
    const ratio = before[c]! > 0 ? after[c]! / before[c]! : 1;
    const isSeen = Number.isFinite(ratio) && ratio > leastRatio && ratio < 1 / leastRatio;
    const unit = before[c]! > 0 ? Math.sqrt(variance![c]! / before[c]!) : 0;
    means[c] = mean![c]! + (isSeen ? (is.mean[c]! - was.mean[c]!) * unit : 0);
    variances[c] = variance![c]! * (isSeen ? ratio : 1);
  }
  storeStatistics(model.graph, node, 3, means);
  storeStatistics(model.graph, node, 4, variances);
}

async function observe(
  model: Model,
  calibrate: Calibrate,
  { driver, session: options, path, signal, onProgress }: RecalibrateContext,
): Promise<{
  readonly pools: ReadonlyMap<string, PooledStatistics>;
  readonly data: string;
  readonly images: number;
  readonly imageSize: number;
  readonly normalization: { readonly mean: readonly number[]; readonly deviation: readonly number[] };
}> {
  const copy = readModel(modelBytes(model));
  const outputs = observeStatistics(copy);
  const images = await calibrate(copy, batch, { path, driver, session: options, signal });
  const pools = new Map<string, PooledStatistics>();
  try {
    const session = await driver.createSession(modelBytes(copy), options);
    try {
      let done = 0;
      for await (const { feeds, size } of images.batches()) {
        throwIfAborted(signal);
        const results = await session.run(feeds, undefined, { signal });
        for (const { layer, mean, variance, shape } of outputs) {
          const means = results[mean]!.data as Float32Array;
          const variances = results[variance]!.data as Float32Array;
          if (!means.every(Number.isFinite) || !variances.every(Number.isFinite)) {
            throw new LowrankError('NUMERIC', 'statistics are not finite on the pictures', {
              place: `${path}, the BatchNormalization of '${layer}'`,
              remedy: 'check --normalization, or raise the ranks',
            });
          }
          const channels = means.length;
          const count = Array.from(results[shape]!.data, Number).reduce((product, dim) => product * dim, 1) / channels;
          const pool = pools.get(layer) ?? poolStatistics(channels);
          pools.set(layer, pool);
          pool.add(count, means, variances);
        }
        done += size;
        onProgress(done, images.images);
      }
    } finally {
      await session.close();
    }
    const { data, imageSize, normalization } = images.summary();
    return { pools, data, images: images.images, imageSize, normalization };
  } finally {
    await images.close();
  }
}
