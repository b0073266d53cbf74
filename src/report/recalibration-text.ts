import type { Recalibration } from './contract.js';
import { formatSeconds, formatWhole, plural } from './format.js';

/** What was re-estimated, and on what, in one line. */
export function recalibrationText({ data, images, imageSize, layers, kept, seconds }: Recalibration): string {
  const others = kept.length === 0 ? '' : `, ${formatWhole(kept.length)} kept`;
  return `${plural(layers, 'BatchNormalization')}${others}, on ${plural(images, 'image')} of ${imageSize}x${imageSize} from ${data}, ${formatSeconds(seconds)}`;
}
