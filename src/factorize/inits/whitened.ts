import { LowrankError } from '../../errors.js';
import { regularize } from '../calibration/regularize.js';
import type { LayerData } from '../calibration/types.js';
import type { Init, InitProblem } from '../types.js';
import { reducedRank } from './support/reduced-rank.js';

/** Reduced-rank regression under the second moments of what the layer sees on the calibration images. */
export const whitened: Init = {
  name: 'whitened',
  summary: 'least error of the layer on real inputs (--calibrate): reduced-rank regression',
  needs: 'layer',
  fit: async (problem) => reducedRank(problem, regularize(dataOf(problem).moments).second),
};

/** Throws USAGE where there are no calibration images. */
export function dataOf({ data }: InitProblem): LayerData {
  if (data !== undefined) return data;
  throw new LowrankError('USAGE', 'this initialization needs to know what the layers see', {
    remedy: 'give --calibrate and a folder of images',
  });
}
