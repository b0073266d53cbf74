import { NORMALIZATIONS, type Normalization, normalizationFor } from '../data/normalize.js';
import type { AsStored, Transform } from '../data/transform.js';
import type { ImageSource, SampleArrays } from '../data/types.js';
import type { CalibrateContext } from '../factorize/calibration/types.js';
import { layoutOf } from '../graph/image-layout.js';
import type { Model } from '../graph/model.js';
import type { Session } from '../runtime/types.js';
import { findNormalization, type FoundNormalization } from './find-normalization.js';
import { arrayInputOf, type ImageInput, isImageModel } from './image-input.js';
import { imageHints, normalizationName } from './image-metadata.js';
import { checkArraySettings, givenNormalization, type ImageSettings } from './image-settings.js';
import type { ImagePreparation } from './preparation.js';

/**
 * `prepareImages` of arrays, which are fed as they are: bytes as pixels, from 0 to 1 and then normalized as pictures are; all other
 * numbers as they stand, unless a mean and a deviation are given, or were when the model was trained on such arrays. Throws USAGE for
 * settings of pictures, and what `arrayInputOf` throws.
 */
export async function prepareArrays(
  model: Model,
  settings: ImageSettings,
  context: Pick<CalibrateContext, 'path' | 'driver' | 'session' | 'signal'> & {
    readonly opened: Pick<Session, 'inputs'>;
    readonly arrays: SampleArrays;
  },
): Promise<ImagePreparation> {
  const { arrays, opened, path } = context;
  checkArraySettings(settings, path);
  const input = arrayInputOf(opened, path, arrays);
  const { normalization, name, from } = await normalizationOfArrays(model, settings, { ...input, arrays }, context);
  const { mean, deviation } = normalization;
  const { width, height } = input;
  return {
    input,
    normalization,
    transform: asStored(arrays),
    report: {
      normalization: { name, mean, deviation, from },
      size: { width, height, from: 'arrays' },
      resize: { rule: 'none', shorterSide: null, interpolation: 'bilinear', from: 'arrays' },
      arrays: { type: arrays.type, dims: arrays.dims },
    },
  };
}

/** How a loader takes arrays. */
export function asStored(arrays: SampleArrays): AsStored {
  const { dims } = arrays;
  return { kind: 'as-stored', arrays, channelAxis: layoutOf(dims) === 'nhwc' ? 2 : 0 };
}

/** Arrays are fed as they are, whatever is done to pictures. */
export function transformFor({ arrays }: ImageSource, ofPictures: Transform): Transform {
  return arrays === undefined ? ofPictures : asStored(arrays);
}

async function normalizationOfArrays(
  model: Model,
  settings: ImageSettings,
  input: ImageInput & { readonly arrays: SampleArrays },
  context: Pick<CalibrateContext, 'driver' | 'session' | 'signal'>,
): Promise<FoundNormalization> {
  const { channels, arrays } = input;
  const areBytes = arrays.type === 'uint8';
  const given = givenNormalization(settings, channels);
  if (given !== undefined && input.type !== 'uint8') return found(given, 'option');
  const isUsual = channels === 1 || channels === 3;
  if (areBytes && (input.type === 'uint8' || (isUsual && isImageModel(model)))) {
    return findNormalization(model, input, context);
  }
  const hints = imageHints(model.metadata);
  const isOfSuch = areBytes || (hints.arrays !== undefined && hints.arrays !== 'uint8');
  const told = hints.normalization === undefined ? undefined : normalizationFor(hints.normalization, channels);
  if (isOfSuch && told?.mean.length === channels) return found(told, 'metadata');
  return found(NORMALIZATIONS.unit, areBytes ? 'assumed' : 'arrays');
}

/** One number stands for all channels where they are alike. */
function found({ mean, deviation }: Normalization, from: FoundNormalization['from']): FoundNormalization {
  const isOne = [mean, deviation].every((values) => values.every((value) => value === values[0]));
  const normalization = isOne ? { mean: [mean[0]!], deviation: [deviation[0]!] } : { mean, deviation };
  return { normalization, name: normalizationName(normalization), from };
}
