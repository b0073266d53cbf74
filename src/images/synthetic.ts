import { LowrankError, throwIfAborted } from '../errors.js';
import { defaultRecipe, pictureDrawer, type PictureRecipe } from '../data/dead-leaves.js';
import type {
  Calibrate,
  CalibrateContext,
  CalibrationBatch,
  CalibrationImages,
} from '../factorize/calibration/types.js';
import type { Model } from '../graph/model.js';
import { inputsOf, isSmallPicture, whyNoPictures } from './image-input.js';
import { defaultImageSettings, givenNormalization } from './image-settings.js';
import { keptBatches } from './kept-batches.js';
import { prepareImages } from './preparation.js';
import { pictureFeed, rangesOf } from './synthetic-batches.js';
import { type ClassSteps, defaultClassSteps, openPictureMover, type PictureMover } from './toward-classes.js';

/** Which drawn pictures a model is shown, and how. */
export interface SyntheticSettings {
  /** null: 256 of small pictures, 64 of larger ones, which show more each. */
  readonly images: number | null;
  /** Index of the first picture: other ones of the same kind from another on. */
  readonly first: number;
  /** Side of the images in pixels; null: what the model says, 224 where it does not. */
  readonly imageSize: number | null;
  /** A name in NORMALIZATIONS; null: what is found out about the model. */
  readonly normalization: string | null;
  readonly mean: readonly number[] | null;
  readonly std: readonly number[] | null;
  readonly seed: number;
  /** What the pictures are like. */
  readonly recipe: PictureRecipe;
  /** How they are moved toward classes of the model; null: they stay as they were drawn. */
  readonly towardClasses: ClassSteps | null;
}

const defaultSyntheticSettings: SyntheticSettings = {
  images: null,
  first: 0,
  imageSize: null,
  normalization: null,
  mean: null,
  std: null,
  seed: 0,
  recipe: defaultRecipe,
  towardClasses: defaultClassSteps,
};

/** Pictures behind those of the fit, which it does not see. */
const keptOut = 128;

/**
 * Pictures that are drawn here (dead leaves), for `convert` to fit layers on where there are no images. Of a model with a
 * fixed batch, whole batches: at least one. `convert` throws USAGE for settings that do not fit, UNSUPPORTED where the model
 * does not take pictures.
 */
export function syntheticCalibration(chosen: Partial<SyntheticSettings> = {}): Calibrate {
  const settings = { ...defaultSyntheticSettings, ...chosen };
  givenNormalization(settings);
  for (const [name, least] of [
    ['images', 1],
    ['first', 0],
  ] as const) {
    const given = settings[name];
    if (given === null || (Number.isSafeInteger(given) && given >= least)) continue;
    throw new LowrankError('USAGE', `${name} of the synthetic pictures is ${settings[name]}`, {
      remedy: `give a whole number from ${least} on`,
    });
  }
  // The same pictures are shown to several models; they are those of one file for as long as any of them are open.
  const moved = new Map<number, Uint8Array>();
  let openCount = 0;
  const calibrate = async (
    model: Model,
    largestBatch: number,
    context: CalibrateContext,
  ): Promise<CalibrationImages> => {
    const { imageSize, mean, std } = settings;
    const asked = { ...defaultImageSettings, imageSize, normalization: settings.normalization, mean, std };
    const { input, normalization, report } = await prepareImages(model, asked, { ...context, isDrawn: true });
    const isFixed = input.batch > 0;
    const wanted = settings.images ?? (isSmallPicture(input) ? 256 : 64);
    const batchSize = isFixed ? input.batch : Math.min(largestBatch, wanted);
    const whole = (count: number): number => (isFixed ? batchSize * Math.max(1, Math.floor(count / batchSize)) : count);
    const isKeptOut = context.part === 'kept-out';
    const first = settings.first + (isKeptOut ? whole(wanted) : 0);
    const images = whole(isKeptOut ? keptOut : wanted);
    const drawer = pictureDrawer(settings.seed, settings.recipe);
    let mover: Promise<PictureMover | undefined> | undefined;
    const moveAll = async (numbers: readonly number[]): Promise<readonly Uint8Array[]> => {
      const drawn = numbers.map((index) => moved.get(index) ?? drawer.draw(index, input));
      const steps = settings.towardClasses;
      if (steps === null || numbers.every((index) => moved.has(index))) return drawn;
      const ranges = rangesOf(normalization, input.channels);
      mover ??= openPictureMover(model, input, { ...context, seed: settings.seed, steps, ranges });
      const pictures = await (await mover)?.move(drawn, numbers[0]!);
      for (const [at, index] of numbers.entries()) if (pictures !== undefined) moved.set(index, pictures[at]!);
      return pictures ?? drawn;
    };
    let isOpen = true;
    openCount++;
    async function* draw(): AsyncGenerator<CalibrationBatch> {
      for (let done = 0; done < images; done += batchSize) {
        throwIfAborted(context.signal);
        const size = Math.min(batchSize, images - done);
        const pictures = await moveAll(Array.from({ length: size }, (_, index) => first + done + index));
        yield { feeds: pictureFeed(pictures, input, normalization), size };
      }
    }
    return {
      input: input.name,
      dims: [batchSize, ...input.imageDims],
      images,
      batches: keptBatches(
        input.imageDims.reduce((product, dim) => product * dim, 4 * images),
        draw,
      ),
      summary: () => ({
        data: 'synthetic',
        images,
        imageSize: Math.min(input.width, input.height),
        normalization,
        normalizationName: report.normalization.name,
        normalizationFrom: report.normalization.from,
        preparation: report,
        badImages: 0,
        ...(moved.size === 0 ? {} : { towardClasses: images }),
      }),
      warnings: [],
      close: async () => {
        if (!isOpen) return;
        isOpen = false;
        await (await mover)?.close();
        if (--openCount === 0) moved.clear();
      },
    };
  };
  return Object.assign(calibrate, {
    paths: [],
    kind: 'synthetic' as const,
    obstacle: (model: Model) => whyNoPictures({ inputs: inputsOf(model) }),
  });
}
