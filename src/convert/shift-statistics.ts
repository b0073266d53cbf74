import { LowrankError } from '../errors.js';
import { copyForImages } from '../factorize/calibration/open-images.js';
import type { Calibrate, CalibrationImages } from '../factorize/calibration/types.js';
import { type Recalibrate, type RecalibrateContext, storeStatistics } from '../training/recalibrate.js';
import type { Model } from '../graph/model.js';
import type { Node } from '../graph/node.js';
import { readModel } from '../graph/read.js';
import { modelBytes } from '../graph/write.js';
import { inferShapes } from '../ops/infer.js';
import { resolveWeight } from '../ops/resolve-weight.js';
import type { Recalibration } from '../contracts/convert.js';
import { fixInputs } from '../passes/fix-inputs.js';
import { toInferenceForm } from '../passes/inference-form.js';
import { type ChannelStatistics, foldAgain, foldedOutputs, unfold } from './folded-normalization.js';
import { type PooledStatistics, poolObserved } from '../training/pooled-statistics.js';
import { keptStatistics, observeStatistics } from '../rewrite/statistics-graph.js';

/** Pictures that are normalized together. */
const batch = 32;

/**
 * Moves the running statistics of BatchNormalization by what the factorization moves them by on pictures that are not those of
 * the training: the mean by the difference to the original's, in units of its deviation, the variance by their ratio.
 * What the pictures' own statistics are does not matter then; with images like those of the training, `recalibration`
 * estimates them anew. As there, every BatchNormalization normalizes by its batch while it is observed. Both models see the
 * images of the fit as the original takes them. Where BatchNormalization was folded into the convolutions before it, as exporters do,
 * the same is done to what they give. Throws as `recalibration`; a model without both stays as it is.
 */
export function statisticsShift(calibrate: Calibrate): Recalibrate {
  // Several models with pairs are compared with one original.
  let original: Original | 'one by one' | undefined;
  const shift: Recalibrate = Object.assign(
    async (model: Model, context: RecalibrateContext) => {
      const started = performance.now();
      const { layers, kept } = keptStatistics(model.graph);
      const isNormalized = layers > 0 ? kept.length < layers : foldedOutputs(model).length > 0;
      if (!isNormalized) return { report: nothingMoved(kept), warnings: [] };
      original ??= await openOriginal(calibrate, context);
      if (original === 'one by one') return { report: nothingMoved(kept), warnings: [oneByOne] };
      const { images, pools: before } = original;
      // Layers that were kept stay as they are.
      const isNew = ([, { weight }]: readonly [string, FoldedStatistics]): boolean =>
        model.graph.value(weight) === undefined;
      const folded = new Map([...original.folded].filter(isNew));
      if (layers === 0 && folded.size === 0) return { report: nothingMoved(kept), warnings: [] };
      unfold(model, folded);
      const after = await observe(model, images, context);
      let moved = 0;
      for (const [layer, is] of after) {
        const was = before.get(layer);
        const node = model.graph.value(layer)?.producer;
        if (was === undefined || node === undefined || isFresh(model, node)) continue;
        move(model, node, was, is);
        moved++;
      }
      foldAgain(model, folded.keys());
      const { data, imageSize, normalization } = images.summary();
      const seconds = (performance.now() - started) / 1000;
      const own = { layers: moved, ...(folded.size === 0 ? {} : { folded: moved }) };
      const report = { data, images: images.images, batchSize: batch, imageSize, ...own };
      return { report: { ...report, normalization, badImages: 0, kept, seconds }, warnings: [] };
    },
    {
      paths: [],
      isPartOfFit: true as const,
      close: async () => {
        if (typeof original === 'object') await original.images.close();
        original = undefined;
      },
    },
  );
  return shift;
}

interface Original {
  readonly images: CalibrationImages;
  readonly pools: ReadonlyMap<string, PooledStatistics>;
  /** What convolutions give that BatchNormalization was folded into. */
  readonly folded: ReadonlyMap<string, FoldedStatistics>;
}

interface FoldedStatistics extends ChannelStatistics {
  /** The name of the convolution's weight. */
  readonly weight: string;
}

function nothingMoved(kept: Recalibration['kept']): Recalibration {
  const none = { images: 0, batchSize: batch, imageSize: 0, layers: 0, badImages: 0, seconds: 0 };
  return { data: '', normalization: { mean: [], deviation: [] }, kept, ...none };
}

const oneByOne =
  'statistics did not move with the pairs: a batch of images is what tells them, and the model takes one at a time';

async function openOriginal(calibrate: Calibrate, context: RecalibrateContext): Promise<Original | 'one by one'> {
  const { path, driver, session, signal } = context;
  const model = readModel(path);
  try {
    toInferenceForm(model);
    fixInputs(model, context.inputs);
    const copy = copyForImages(model, true);
    const images = await calibrate(copy, batch, { path, driver, session, part: 'fit', signal });
    try {
      if (!isBatchOpen(copy, images)) {
        await images.close();
        return 'one by one';
      }
      const folded = await statisticsOfFolded(model, images, context);
      unfold(model, folded);
      const { layers, kept } = keptStatistics(model.graph);
      const pools = layers > kept.length ? await observe(model, images, context) : new Map<string, PooledStatistics>();
      return { images, pools, folded };
    } catch (error) {
      await images.close();
      throw error;
    }
  } finally {
    model.file?.close();
  }
}

/** Whether the graph bears the batch of the images. */
function isBatchOpen(copy: Model, { input, dims }: CalibrationImages): boolean {
  if (typeof copy.graph.value(input)?.declared?.dims?.[0] === 'number') return false;
  try {
    inferShapes(copy, { inputShapes: { [input]: dims } });
    return true;
  } catch (error) {
    if (!(error instanceof LowrankError) || error.code !== 'SHAPE') throw error;
    return false;
  }
}

async function statisticsOfFolded(
  model: Model,
  images: CalibrationImages,
  context: RecalibrateContext,
): Promise<ReadonlyMap<string, FoldedStatistics>> {
  const outputs = foldedOutputs(model);
  if (outputs.length === 0) return new Map();
  const copy = readModel(modelBytes(model));
  const units = outputs.map(({ name, channels }) => {
    return [name, { mean: new Float32Array(channels), variance: new Float32Array(channels).fill(1) }] as const;
  });
  unfold(copy, new Map(units));
  const pools = await observe(copy, images, context, false);
  return new Map(
    outputs.flatMap(({ name, weight }) => {
      const pool = pools.get(name);
      return pool === undefined ? [] : [[name, { weight, mean: pool.mean, variance: pool.variance() }]];
    }),
  );
}

async function observe(
  model: Model,
  images: CalibrationImages,
  { driver, session: options, path, signal, onProgress }: RecalibrateContext,
  isNormalized = true,
): Promise<ReadonlyMap<string, PooledStatistics>> {
  const copy = readModel(modelBytes(model));
  const outputs = observeStatistics(copy, isNormalized);
  const session = await driver.createSession(modelBytes(copy), options);
  try {
    const onImages = (done: number): void => onProgress(done, images.images);
    return (await poolObserved(session, outputs, images.batches(), { path, signal, onImages })).pools;
  } finally {
    await session.close();
  }
}

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
