import { arraysIn } from '../data/open.js';
import { imageReads } from '../data/paths.js';
import type { Loader } from '../data/loader.js';
import type { CalibrationBatch } from '../factorize/calibration/types.js';
import { NORMALIZATIONS, type Normalization } from '../data/normalize.js';
import { checkModel } from '../graph/check.js';
import type { Graph } from '../graph/graph.js';
import type { Model } from '../graph/model.js';
import type { Node } from '../graph/node.js';
import { readModel } from '../graph/read.js';
import { modelBytes } from '../graph/write.js';
import { Tensor } from '../onnx/tensor.js';
import { resolveWeight } from '../ops/resolve-weight.js';
import type { Preparation } from '../contracts/images.js';
import type { Recalibration } from '../contracts/convert.js';
import type { WithPaths } from '../files/conflicts.js';
import type { Driver, Session, SessionOptions } from '../runtime/types.js';
import { type ImageInput, imageFeed } from '../images/image-input.js';
import { checkImageSettings, givenNormalization } from '../images/image-settings.js';
import { type PooledStatistics, poolObserved } from './pooled-statistics.js';
import { prepareFile, prepareImages } from '../images/preparation.js';
import { keptStatistics, observeStatistics } from '../rewrite/statistics-graph.js';
import {
  defaultUnlabelledSettings,
  openUnlabelledImages,
  type UnlabelledImages,
  type UnlabelledSettings,
} from '../images/unlabelled-images.js';

/** What `Recalibrate` works with. */
export interface RecalibrateContext {
  /** Of the file that is converted, for messages. */
  readonly path: string;
  /** The file that is converted, which takes images as the model does; default: there is none. */
  readonly original?: string;
  /** Values of its inputs that are no images. */
  readonly inputs?: readonly string[] | undefined;
  readonly driver: Driver;
  readonly session: SessionOptions;
  readonly signal: AbortSignal | undefined;
  /** Counts images. */
  readonly onProgress: (done: number, total: number) => void;
}

/** Estimates the running statistics of a model anew, in place; everything else stays. */
export type Recalibrate = ((
  model: Model,
  context: RecalibrateContext,
) => Promise<{ readonly report: Recalibration; readonly warnings: readonly string[] }>) &
  WithPaths & {
    /** It puts right what pairs change on the images of the fit: without those, or without pairs, it is left out. */
    readonly isPartOfFit?: boolean;
    /** Gives back what it holds from one model to the next. */
    close?(): Promise<void>;
  };

export interface RecalibrationSettings extends UnlabelledSettings {
  /** Images that are normalized together; the more, the closer to the statistics of all. */
  readonly batchSize: number;
}

export const defaultRecalibrationSettings: RecalibrationSettings = {
  ...defaultUnlabelledSettings,
  images: 512,
  batchSize: 64,
};

/**
 * Re-estimates the running statistics of a model's BatchNormalizations on images, which need no labels: for `convert`.
 * A factorized layer gives another distribution than the one it replaced, and the statistics behind it are still those of
 * the old one.
 *
 * In one pass every BatchNormalization normalizes by the statistics of its batch, as in training, so that each layer sees
 * its input as the layers before it will give it with their new statistics; what the batches had is pooled to the mean and
 * unbiased variance of all images: PreciseBN (Wu and Johnson, "Rethinking 'Batch' in BatchNorm", arXiv 2105.07576,
 * section 3), as PyTorch's `swa_utils.update_bn` does with averages of the batches' variances. The exact way, one pass for
 * each depth of the graph, costs as many times more and differs by the noise of a batch of images.
 *
 * Throws INPUT for images that cannot be used, USAGE for settings that do not fit, UNSUPPORTED where the model does not
 * take the images, NUMERIC where statistics are not finite, RUNTIME, ABORTED. Nothing is changed then.
 */
export function recalibration(path: string, chosen: Partial<RecalibrationSettings> = {}): Recalibrate {
  const settings = { ...defaultRecalibrationSettings, ...chosen };
  checkImageSettings(settings);
  const recalibrate: Recalibrate = async (model, context) => {
    const started = performance.now();
    const { layers, kept } = keptStatistics(model.graph);
    if (kept.length === layers) {
      const normalization = givenNormalization(settings) ?? NORMALIZATIONS.imagenet;
      const { batchSize, imageSize } = settings;
      const none = { images: 0, batchSize, imageSize: imageSize ?? 0, layers: 0, badImages: 0, seconds: 0 };
      const why =
        layers === 0
          ? 'the model has no BatchNormalization: exporters fold it into the convolutions unless told not to; lowrank-train gets the accuracy back'
          : `${kept[0]!.name}: ${kept[0]!.reason}`;
      return { report: { data: path, normalization, kept, ...none }, warnings: [`nothing was recalibrated: ${why}`] };
    }
    const observed = await observe(model, path, settings, context);
    apply(model.graph, observed.statistics);
    checkModel(model);
    const { images, batchSize, imageSize, normalization, preparation, badImages } = observed;
    const about = { images, batchSize, imageSize, normalization, preparation, badImages };
    const seconds = (performance.now() - started) / 1000;
    const report = { data: path, ...about, layers: layers - kept.length, kept, seconds };
    return { report, warnings: [...observed.warnings, ...kept.map(({ name, reason }) => `${name}: ${reason}`)] };
  };
  return Object.assign(recalibrate, { paths: imageReads(path, 'the images to recalibrate on', '--recalibrate') });
}

interface Observation {
  readonly statistics: ReadonlyMap<string, PooledStatistics>;
  readonly images: number;
  readonly batchSize: number;
  readonly imageSize: number;
  readonly normalization: Normalization;
  readonly preparation: Preparation;
  readonly badImages: number;
  readonly warnings: readonly string[];
}

/** Runs the images through a copy of the model that observes. */
async function observe(
  model: Model,
  path: string,
  settings: RecalibrationSettings,
  context: RecalibrateContext,
): Promise<Observation> {
  const { signal } = context;
  let session: Session | undefined;
  let opened: UnlabelledImages | undefined;
  try {
    // As the original takes images: what pairs make of its statistics tells nothing of them.
    const { original, inputs } = context;
    const arrays = arraysIn(path);
    const preparation = await (original === undefined
      ? prepareImages(model, settings, { ...context, arrays })
      : prepareFile(original, { ...settings, ...(inputs === undefined ? {} : { inputs }) }, { ...context, arrays }));
    const copy = readModel(modelBytes(model));
    const outputs = observeStatistics(copy, true, true);
    session = await context.driver.createSession(modelBytes(copy), context.session);
    const { normalization, input } = preparation;
    opened = await openUnlabelledImages(path, settings, preparation, {
      batchSize: settings.batchSize,
      last: 'drop',
      signal,
    });
    const { loader, batchSize, warnings } = opened;
    const { pools, images } = await poolObserved(session, outputs, feedsOf(loader, input), {
      path: context.path,
      signal,
      onImages: (done) => context.onProgress(done, loader.imagesPerEpoch),
    });
    return {
      statistics: pools,
      images,
      batchSize,
      imageSize: Math.min(input.width, input.height),
      normalization,
      preparation: preparation.report,
      badImages: loader.bad.length,
      warnings,
    };
  } finally {
    await opened?.close();
    await session?.close();
  }
}

async function* feedsOf(loader: Loader, input: ImageInput): AsyncGenerator<CalibrationBatch> {
  for await (const { images, dims, size } of loader.batches(0)) {
    const [, ...imageDims] = dims;
    const elements = imageDims.reduce((product, dim) => product * dim, size);
    yield { feeds: imageFeed(input, images.subarray(0, elements), [size, ...imageDims]), size };
  }
}

/** Writes the statistics into the model, by the name of each layer's output. */
function apply(graph: Graph, statistics: ReadonlyMap<string, PooledStatistics>): void {
  for (const [layer, pool] of statistics) {
    const node = graph.value(layer)!.producer!;
    storeStatistics(graph, node, 3, Float32Array.from(pool.mean));
    storeStatistics(graph, node, 4, Float32Array.from(pool.variance()));
  }
}

/** Other data for a constant input of a node; under a new name where others read the old one, or it is laid out otherwise. */
export function storeStatistics(graph: Graph, node: Node, index: number, values: Float32Array): void {
  const value = node.inputs[index]!;
  const { dataType } = resolveWeight(graph, value)!;
  const tensor = (name: string): Tensor => Tensor.ofFloats(name, [values.length], values, dataType);
  const isAlone = value.uses.length === 1 && !value.isOutput;
  if (isAlone && value.tensor !== undefined) graph.setTensor(value, tensor(value.name));
  else if (isAlone && value.producer?.is('Constant') === true && value.producer.tensor('value') !== undefined) {
    value.producer.setAttribute('value', { type: 'tensor', value: tensor('') });
  } else {
    graph.setInput(node, index, graph.addInitializer(tensor(graph.uniqueName(`${value.name}.recalibrated`))));
    graph.removeIfUnused(value);
  }
}
