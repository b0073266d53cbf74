import { imageReads } from '../data/paths.js';
import type { Calibrate, CalibrationBatch } from '../factorize/calibration/types.js';
import type { Model } from '../graph/model.js';
import { dataTypeName } from '../onnx/data-type.js';
import type { ElementType, ValueInfo } from '../runtime/types.js';
import { imageFeed, imageInputOf } from './image-input.js';
import { normalizationOf } from './images.js';
import { defaultUnlabelledSettings, openUnlabelledImages, type UnlabelledSettings } from './unlabelled-images.js';

export type CalibrationSettings = UnlabelledSettings;

export const defaultCalibrationSettings: CalibrationSettings = { ...defaultUnlabelledSettings, images: 256 };

/** So many bytes of decoded images stay in memory for further passes; more are decoded anew in each. */
const keptBytes = 160e6;

/**
 * Images, which need no labels, for `convert` to fit layers on: what a trained model's layers see, which is nothing like
 * random numbers. Prepared as for evaluation: resized, the center cut out. `convert` throws INPUT for images that cannot be
 * used, USAGE for settings that do not fit, UNSUPPORTED where the model does not take color images.
 */
export function calibration(path: string, chosen: Partial<CalibrationSettings> = {}): Calibrate {
  const settings = { ...defaultCalibrationSettings, ...chosen };
  const normalization = normalizationOf(settings);
  const calibrate: Calibrate = async (model, largestBatch, { path: modelPath, signal }) => {
    const input = imageInputOf({ inputs: inputsOf(model) }, modelPath, settings.imageSize);
    const wanted = input.batch > 0 ? input.batch : largestBatch;
    const last = input.batch > 0 ? 'drop' : 'keep';
    const { loader, batchSize, warnings, close } = await openUnlabelledImages(path, settings, input, {
      batchSize: wanted,
      last,
      signal,
    });
    const bytes = input.imageDims.reduce((product, dim) => product * dim, 4 * loader.imagesPerEpoch);
    const kept: CalibrationBatch[] = [];
    let isComplete = false;
    async function* batches(): AsyncGenerator<CalibrationBatch> {
      if (isComplete) {
        yield* kept;
        return;
      }
      kept.length = 0;
      for await (const { images, dims, size } of loader.batches(0)) {
        const imageDims = dims.slice(1);
        const elements = imageDims.reduce((product, dim) => product * dim, size);
        const isKept = bytes <= keptBytes;
        const data = isKept ? images.slice(0, elements) : images.subarray(0, elements);
        const batch = { feeds: imageFeed(input, data, [size, ...imageDims]), size };
        if (isKept) kept.push(batch);
        yield batch;
      }
      isComplete = kept.length > 0;
    }
    return {
      input: input.name,
      dims: [batchSize, ...input.imageDims],
      images: loader.imagesPerEpoch,
      batches,
      summary: () => ({
        data: path,
        images: loader.imagesPerEpoch - loader.bad.length,
        imageSize: Math.min(input.width, input.height),
        normalization,
        badImages: loader.bad.length,
      }),
      warnings,
      close,
    };
  };
  return Object.assign(calibrate, { paths: imageReads(path, 'the calibration images', '--calibrate') });
}

/** The inputs of a model as a session would show them. */
function inputsOf({ graph }: Model): readonly ValueInfo[] {
  return graph.inputs
    .filter((value) => value.tensor === undefined)
    .map(({ name, declared }) => ({
      name,
      type: declared === undefined ? 'other' : (dataTypeName(declared.dataType) as ElementType),
      dims: (declared?.dims ?? []).map((dim) => (typeof dim === 'number' ? dim : -1)),
    }));
}
