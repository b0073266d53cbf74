import type { Calibrate } from '../factorize/calibration/types.js';

/** Names that settings of drawn pictures and of images share. */
interface NamedSettings {
  readonly images?: number;
  readonly seed?: number;
  readonly imageSize?: number;
  readonly normalization?: string;
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
}

/** What `--calibrate` names: pictures that are drawn, or a place of images. Loaded where it is of use: it brings the image decoder. */
export async function namedCalibration(name: string, settings: NamedSettings): Promise<Calibrate> {
  if (name === 'synthetic') {
    const { syntheticCalibration } = await import('../train/synthetic.js');
    return syntheticCalibration(settings);
  }
  const { calibration } = await import('../train/calibrate.js');
  return calibration(name, settings);
}
