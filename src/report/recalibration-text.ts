import type { Recalibration } from '../contracts/convert.js';
import { formatSeconds, formatWhole, plural } from './format.js';

/** What was re-estimated, and on what, in one line. */
export function recalibrationText(recalibration: Recalibration): string {
  const { data, images, imageSize, layers, folded, kept, seconds, preparation } = recalibration;
  const arrays = preparation?.arrays;
  const size = arrays === undefined ? `${imageSize}x${imageSize}` : `[${arrays.dims.join(', ')}]`;
  const others = kept.length === 0 ? '' : `, ${formatWhole(kept.length)} kept`;
  const where = folded === undefined ? '' : ' folded into convolutions';
  return `${plural(layers, 'BatchNormalization')}${where}${others}, on ${plural(images, arrays === undefined ? 'image' : 'array')} of ${size} from ${data}, ${formatSeconds(seconds)}`;
}
