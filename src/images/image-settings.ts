import { LowrankError } from '../errors.js';
import type { ImageSettings } from '../contracts/train-settings.js';
import type { Normalization } from '../data/normalize.js';
import type { Interpolation } from '../data/resample.js';
import { normalizationOf } from './images.js';

export type { ImageSettings };

export const defaultImageSettings: ImageSettings = {
  imageSize: null,
  resize: null,
  stretch: null,
  interpolation: null,
  normalization: null,
  mean: null,
  std: null,
};

const interpolationNames = ['bilinear', 'bicubic'] as const satisfies readonly Interpolation[];

/**
 * What the user says, for pictures of so many channels (default: of any); undefined where that is nothing. Throws USAGE for what
 * there is not.
 */
export function givenNormalization(
  settings: Pick<ImageSettings, 'normalization' | 'mean' | 'std'>,
  channels = -1,
): Normalization | undefined {
  const { normalization, mean, std } = settings;
  return normalization === null && mean === null && std === null ? undefined : normalizationOf(settings, channels);
}

/** Throws USAGE for a normalization or an interpolation that there is not, and where settings contradict each other. */
export function checkImageSettings(settings: ImageSettings): void {
  givenNormalization(settings);
  const { interpolation, resize, stretch } = settings;
  if (interpolation !== null && !interpolationNames.includes(interpolation)) {
    throw new LowrankError('USAGE', `there is no interpolation '${String(interpolation)}'`, {
      remedy: `choose one of ${interpolationNames.join(', ')}`,
    });
  }
  if (stretch !== true || resize === null) return;
  throw new LowrankError('USAGE', '--stretch and --resize contradict each other', {
    remedy: 'a stretched image is not cropped: leave --resize out',
  });
}

/** Throws USAGE for settings that change pictures, where the samples are arrays. */
export function checkArraySettings({ imageSize, resize, stretch, interpolation }: ImageSettings, place: string): void {
  const given = {
    '--image-size': imageSize,
    '--resize': resize,
    '--stretch': stretch,
    '--interpolation': interpolation,
  };
  const option = Object.entries(given).find(([, value]) => value !== null)?.[0];
  if (option === undefined) return;
  throw new LowrankError('USAGE', `${option} changes pictures, and arrays are fed as they are`, {
    place,
    remedy: `leave ${option} out`,
  });
}
