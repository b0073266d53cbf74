import type { Calibrate } from '../factorize/calibration/types.js';
import type { CalibrationSettings } from '../images/calibrate.js';
import type { SyntheticSettings } from '../images/synthetic.js';
import { given } from './training-options.js';

/** Settings of images, some of which are those of drawn pictures too. */
type NamedSettings = Partial<CalibrationSettings>;

/** What `--calibrate` names: pictures that are drawn, or a place of images. Loaded where it is of use: it brings the image decoder. */
export async function namedCalibration(name: string, settings: NamedSettings): Promise<Calibrate> {
  if (name === 'synthetic') {
    const { syntheticCalibration } = await import('../images/synthetic.js');
    return syntheticCalibration(drawnSettings(settings));
  }
  const { calibration } = await import('../images/calibrate.js');
  return calibration(name, settings);
}

/** Pictures are drawn in the size of the input: nothing of them is resized. */
export function drawnSettings(settings: NamedSettings): Partial<SyntheticSettings> {
  const { images, seed, imageSize, normalization, mean, std } = settings;
  return given({ images, seed, imageSize, normalization, mean, std });
}
