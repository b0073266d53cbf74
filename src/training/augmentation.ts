import type { AugmentSettings } from './options.js';

/** Sides of small pictures, in pixels. */
const small = 64;
/** With fewer pictures a model that is good already loses more by random changes than it learns from them: measured on 4,000. */
const fewImages = 10_000;

/** `auto` carried out: how training images are changed at random, by their number and their size in pixels. */
export function withAugment<Settings extends AugmentSettings>(
  settings: Settings,
  images: number,
  side: number,
): Settings {
  if (settings.augment !== 'auto') return settings;
  if (images < fewImages) return { ...settings, augment: 'none' };
  return { ...settings, augment: side <= small ? 'pad' : 'crop' };
}
