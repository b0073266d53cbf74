import type { Recalibration } from '../contracts/convert.js';
import { formatSeconds, formatWhole, plural } from './format.js';

/** What was re-estimated, and on what, in one line. */
export function recalibrationText({ data, images, imageSize, layers, folded, kept, seconds }: Recalibration): string {
  const others = kept.length === 0 ? '' : `, ${formatWhole(kept.length)} kept`;
  const where = folded === undefined ? '' : ' folded into convolutions';
  return `${plural(layers, 'BatchNormalization')}${where}${others}, on ${plural(images, 'image')} of ${imageSize}x${imageSize} from ${data}, ${formatSeconds(seconds)}`;
}
