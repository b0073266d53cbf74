import type { PictureMean } from '../contracts/agreement.js';
import { meanOf } from '../statistics.js';

/** The mean of numbers from 0 to `most`, one a picture, with its interval. At least one number. */
export function meanOverPictures(values: readonly number[], most = Infinity): PictureMean {
  return values.length === 1 ? { mean: values[0]!, ci95: null } : meanOf(values, [0, most]);
}
