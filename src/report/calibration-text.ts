import type { Calibration } from './contract.js';
import { formatSeconds, plural } from './format.js';

/** What layers were fitted on, in one line. */
export function calibrationText({ data, images, imageSize, layers, seconds }: Calibration): string {
  return `${plural(layers, 'layer')}, on ${plural(images, 'image')} of ${imageSize}x${imageSize} from ${data}, ${formatSeconds(seconds)}`;
}
