import { arraysIn } from '../data/open.js';
import { imageReads } from '../data/paths.js';
import type { Calibrate, CalibrateContext, CalibrationImages } from '../factorize/calibration/types.js';
import { keptBatches } from './kept-batches.js';
import type { Model } from '../graph/model.js';
import { imageFeed, inputsOf, obstacleToSamples } from './image-input.js';
import { checkImageSettings } from './image-settings.js';
import { prepareImages } from './preparation.js';
import { defaultUnlabelledSettings, openUnlabelledImages, type UnlabelledSettings } from './unlabelled-images.js';

export type CalibrationSettings = UnlabelledSettings;

const defaultCalibrationSettings: CalibrationSettings = { ...defaultUnlabelledSettings, images: 256 };

/**
 * Images, which need no labels, for `convert` to fit layers on: what a trained model's layers see, which is nothing like
 * random numbers. Prepared as for evaluation: resized, the center cut out. `convert` throws INPUT for images that cannot be
 * used, USAGE for settings that do not fit, UNSUPPORTED where the model does not take the images.
 */
export function calibration(path: string, chosen: Partial<CalibrationSettings> = {}): Calibrate {
  const settings = { ...defaultCalibrationSettings, ...chosen };
  checkImageSettings(settings);
  const calibrate = async (
    model: Model,
    largestBatch: number,
    context: CalibrateContext,
  ): Promise<CalibrationImages> => {
    const preparation = await prepareImages(model, settings, { ...context, arrays: arraysIn(path) });
    const { input, normalization, report } = preparation;
    const { loader, batchSize, warnings, close } = await openUnlabelledImages(path, settings, preparation, {
      batchSize: input.batch > 0 ? input.batch : largestBatch,
      last: input.batch > 0 ? 'drop' : 'keep',
      part: context.part,
      signal: context.signal,
    });
    const elements = (size: number): number => input.imageDims.reduce((product, dim) => product * dim, size);
    return {
      input: input.name,
      dims: [batchSize, ...input.imageDims],
      images: loader.imagesPerEpoch,
      batches: keptBatches(4 * elements(loader.imagesPerEpoch), async function* (isKept) {
        for await (const { images, size } of loader.batches(0)) {
          const data = isKept ? images.slice(0, elements(size)) : images.subarray(0, elements(size));
          yield { feeds: imageFeed(input, data, [size, ...input.imageDims]), size };
        }
      }),
      summary: () => ({
        data: path,
        images: loader.imagesPerEpoch - loader.bad.length,
        imageSize: Math.min(input.width, input.height),
        normalization,
        normalizationName: report.normalization.name,
        normalizationFrom: report.normalization.from,
        preparation: report,
        badImages: loader.bad.length,
      }),
      warnings,
      close,
    };
  };
  return Object.assign(calibrate, {
    paths: imageReads(path, 'the calibration images', '--calibrate'),
    kind: 'images' as const,
    obstacle: (model: Model) => obstacleToSamples({ inputs: inputsOf(model) }, arraysIn(path)),
  });
}
