import { inWords, LowrankError, throwIfAborted } from '../errors.js';
import type { AgreementReport } from '../contracts/agreement.js';
import type { Preparation } from '../contracts/images.js';
import { arraysIn } from '../data/open.js';
import { checkImageSettings } from '../images/image-settings.js';
import { inForce } from '../images/preparation.js';
import { openUnlabelledImages } from '../images/unlabelled-images.js';
import { checkedLimits, type LimitOptions } from '../limits.js';
import { sizeOf } from '../ops/support/layout.js';
import { loadDriver } from '../runtime/driver.js';
import { sessionOptionsOf } from '../runtime/threads.js';
import { tool } from '../version.js';
import { defaultEvalSettings, type EvalSettings } from './eval-settings.js';
import { type MatchContext, type MatchModel, openMatchModels } from './match-model.js';
import { type OutputPair, pairOutputs } from './paired-outputs.js';
import { comparePictures } from './picture-comparison.js';
import { openPictureRunner } from './picture-runner.js';
import { badImagesOf } from './run-classifier.js';

export interface AgreementOptions extends LimitOptions {
  readonly model: string;
  /** The model that it is compared with: the one that it was made of. */
  readonly versus: string;
  /** Images, which need no labels: a folder of them, or what `openSource` opens. */
  readonly data: string;
  /** `split`: default that for validation, else that for training. */
  readonly settings?: Partial<EvalSettings>;
  readonly command?: string;
  readonly signal?: AbortSignal | undefined;
  /** Called behind every batch that both models ran. */
  readonly onProgress?: (progress: { readonly done: number; readonly total: number }) => void;
  /** Called before the images are run: how they become inputs of both models. */
  readonly onPrepared?: (preparation: Preparation) => void;
}

/**
 * How much a model agrees with another, without labels, of whatever vision model: both are shown the same pictures, prepared as the
 * first one wants them. Classifiers: the share of pictures with the same first class, the mean divergence of classes. Every output of
 * floats: the mean over pictures of the relative error of one picture. Maps of classes: mean IoU, pixels with the same class.
 * Intervals are of 95 %, over pictures. Outputs that a model chooses by what is in a picture, such as detections behind
 * NonMaxSuppression, are not compared; what they are made of is.
 * Throws INPUT where images are missing or too many are bad; UNSUPPORTED where a model takes no images, or no output can be
 * compared; USAGE where the two take other pictures, and for settings that do not fit; RUNTIME, ABORTED.
 */
export async function measureAgreement(options: AgreementOptions): Promise<AgreementReport> {
  const started = performance.now();
  const { signal, model: path, versus, data } = options;
  const settings: EvalSettings = { ...defaultEvalSettings, ...options.settings };
  checkImageSettings(settings);
  const { device, threads } = settings;
  const driver = await loadDriver();
  const session = sessionOptionsOf({ device, threads, ...checkedLimits(options) });
  const context: MatchContext = { driver, session, images: settings, arrays: arraysIn(data), signal };
  const models = await openMatchModels([path, versus], context);
  const open: { close(): Promise<void> }[] = [];
  try {
    const [model, original] = models;
    const { pairs, leftOut, warnings } = pairOutputs(model, original);
    const images = await openUnlabelledImages(
      data,
      { ...settings, images: settings.limit ?? Number.MAX_SAFE_INTEGER },
      model.preparation,
      {
        batchSize: Math.min(settings.batchSize, mostPictures(models, pairs)),
        last: 'keep',
        parts: settings.split === null ? ['val', 'train'] : [settings.split],
        signal,
      },
    );
    open.push(images);
    const own = await openPictureRunner(model, [...new Set(pairs.map((pair) => pair.own))], context);
    open.push(own);
    const others = await openPictureRunner(original, [...new Set(pairs.map((pair) => pair.original))], context);
    open.push(others);
    options.onPrepared?.(model.preparation.report);
    const begun = performance.now();
    const comparison = comparePictures(model, original, pairs);
    const { loader } = images;
    let done = 0;
    for await (const batch of loader.batches(0)) {
      throwIfAborted(signal);
      if (batch.size === 0) continue;
      const pictures = batch.images.subarray(0, batch.size * sizeOf(model.input.imageDims));
      comparison.add(await others.run(pictures, batch.size), await own.run(pictures, batch.size));
      done += batch.size;
      options.onProgress?.({ done, total: loader.imagesPerEpoch });
    }
    if (done === 0)
      throw new LowrankError('INPUT', 'no image could be read', { place: data, remedy: 'check the images' });
    const compared = comparison.result();
    const seconds = (from: number): number => (performance.now() - from) / 1000;
    return inWords<AgreementReport>({
      schema: 'lowrank.agreement/1',
      tool,
      ...(options.command === undefined ? {} : { command: options.command }),
      model: model.summary,
      original: original.summary,
      settings: { data, versus, ...inForce(settings, model.preparation.report) },
      data: { path: data, images: loader.imagesPerEpoch },
      preparation: model.preparation.report,
      images: done,
      top1: compared.top1,
      kl: compared.kl,
      outputs: compared.outputs,
      leftOut: [...leftOut, ...compared.leftOut],
      imagesPerSecond: done / seconds(begun),
      badImages: badImagesOf(loader.bad),
      warnings: [
        ...images.warnings,
        ...[model, original, own, others].flatMap((each) => each.warnings),
        ...warnings,
        ...compared.warnings,
      ],
      seconds: {
        prepare: (begun - started) / 1000,
        compare: seconds(begun),
        total: seconds(started),
      },
    });
  } finally {
    for (const each of open.reverse()) await each.close();
    for (const { model } of models) model.file?.close();
  }
}

/** Numbers of outputs that are held at once. */
const mostNumbers = 2 ** 25;

/** Pictures of which the outputs of both models are held at once. */
function mostPictures(models: readonly [MatchModel, MatchModel], pairs: readonly OutputPair[]): number {
  const [model, original] = models;
  const numbers = pairs.reduce((sum, pair) => {
    const dims = [original.shapes.typeOf(pair.original)?.dims, model.shapes.typeOf(pair.own)?.dims];
    return sum + dims.reduce((both, each) => both + (each === undefined ? 0 : sizeOf(each.slice(1))), 0);
  }, 1);
  return Math.max(1, Math.floor(mostNumbers / numbers));
}
