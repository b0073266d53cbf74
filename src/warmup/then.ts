import type { ConvertOptions } from '../convert/options.js';
import type { ConvertModelCall } from '../convert/usual-calls.js';
import { type ConvertSettings, resolveSettings } from '../convert/settings.js';
import { LowrankError } from '../errors.js';
import { inits } from '../factorize/inits/index.js';
import type { CalibrationSettings } from '../images/calibrate.js';
import { defaultImageSettings } from '../images/image-settings.js';
import type { TrainCall, TrainSettings } from '../training/options.js';
import { thenNames } from './then-names.js';

/** How a model is converted between its epochs in full rank and those of pairs: options of `convert`, which say the same there. */
export type ThenOptions = Pick<ConvertOptions, Extract<(typeof thenNames)[number], keyof ConvertOptions>> & {
  /** Images that it is fitted to: a path, `synthetic`, or `none`. Default: the training images, where `convert` would look at any. */
  readonly calibrate?: string;
  /** How many of them; default 256. */
  readonly calibrateImages?: number;
};

/** The options of a setting, checked as far as they can be before there is a model. Throws USAGE. */
export function checkedThen(then: object | null): ThenOptions {
  const known: ReadonlySet<string> = new Set(thenNames);
  const strange = Object.keys(then ?? {}).find((name) => !known.has(name));
  if (strange !== undefined) {
    throw new LowrankError('USAGE', `there is no option '${strange}' of a conversion between epochs`, {
      place: '--then',
      remedy: `choose from ${thenNames.join(', ')}`,
    });
  }
  const options: ThenOptions = then ?? {};
  settingsOf(options);
  return options;
}

/** With their defaults, as far as these do not depend on the model. Throws USAGE. */
export function settingsOf(then: ThenOptions): ConvertSettings {
  return resolveSettings(optionsOf(then), looksAt(then) === 'none' ? undefined : 'images');
}

/** Those that `convert` has by the same names. */
export function optionsOf({
  calibrate: _calibrate,
  calibrateImages: _images,
  ...options
}: ThenOptions): ConvertOptions {
  return options;
}

/** What the pairs are fitted to; undefined: the training images, as `convert` with images. */
function looksAt({ calibrate, init, keep }: ThenOptions): string | undefined {
  if (calibrate !== undefined) return calibrate;
  return init !== undefined && inits[init].needs === undefined && keep === undefined ? 'none' : undefined;
}

/** As a training sees its images, with its seed. `settings` say how images become inputs. */
export async function calibrationOf(
  then: ThenOptions,
  { data }: Pick<TrainCall, 'data'>,
  settings: TrainSettings,
): Promise<Exclude<ConvertModelCall['calibrate'], undefined>> {
  const at = looksAt(then);
  const { calibrateImages: images } = then;
  const own = { ...preparationOf(settings), ...(images === undefined ? {} : { images }) };
  if (at === 'none') return at;
  if (at === 'synthetic') {
    const { syntheticCalibration } = await import('../images/synthetic.js');
    const { imageSize, normalization, mean, std, seed } = own;
    return syntheticCalibration({
      imageSize,
      normalization,
      mean,
      std,
      seed,
      ...(images === undefined ? {} : { images }),
    });
  }
  const { calibration } = await import('../images/calibrate.js');
  return calibration(at ?? data, own);
}

function preparationOf(settings: TrainSettings): Omit<CalibrationSettings, 'images'> {
  const { seed, maxBad, workers } = settings;
  const names = Object.keys(defaultImageSettings) as (keyof typeof defaultImageSettings)[];
  const images = Object.fromEntries(
    names.map((name) => [name, settings[name]]),
  ) as unknown as typeof defaultImageSettings;
  return { ...images, seed, maxBad, workers };
}
