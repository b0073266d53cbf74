import type { CenterCrop, Stretch, Transform } from '../data/transform.js';
import type { ImageSettings } from '../images/image-settings.js';
import { resizing } from '../images/preparation.js';
import type { AugmentSettings } from './options.js';

/** How images become inputs in training and in validation. */
export function transformsOf(
  settings: AugmentSettings & ImageSettings,
  width: number,
  height: number,
): { readonly train: Transform; readonly val: CenterCrop | Stretch } {
  const { transform: val } = resizing({ width, height }, settings);
  const interpolation = settings.interpolation === null ? {} : { interpolation: settings.interpolation };
  const { resize } = settings;
  const isBordered = val.kind !== 'stretch' && resize !== null && resize < Math.min(width, height);
  switch (settings.augment) {
    case 'crop':
      return {
        train: {
          kind: 'random-resized-crop',
          width,
          height,
          scale: [settings.minScale, 1],
          flip: settings.flip ? 0.5 : 0,
          ...interpolation,
        },
        val,
      };
    case 'pad':
      return {
        train: {
          ...{ kind: 'padded-crop', width, height, padding: 4, flip: settings.flip ? 0.5 : 0 },
          ...(isBordered ? { resize } : {}),
          ...interpolation,
        },
        val: val.kind === 'stretch' ? val : { ...val, resize: resize ?? Math.min(width, height) },
      };
    case 'auto': // Carried out once the training images are open.
    case 'none':
      return { train: val, val };
  }
}
