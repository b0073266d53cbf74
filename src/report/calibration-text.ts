import type { Calibration, NormalizationOrigin } from '../contracts/images.js';
import { formatSeconds, plural } from './format.js';

/** What layers were fitted on, in one line. */
export function calibrationText(calibration: Calibration): string {
  const { data, images, imageSize, layers, seconds, towardClasses, preparation } = calibration;
  const arrays = preparation?.arrays;
  const size = arrays === undefined ? `of ${imageSize}x${imageSize}` : `of [${arrays.dims.join(', ')}]`;
  const shown =
    data === 'synthetic'
      ? `${plural(images, 'synthetic picture')} ${size}${towardClasses === undefined ? '' : ', moved toward its classes'}`
      : `${plural(images, arrays === undefined ? 'image' : 'array')} ${size} from ${data}`;
  return `${plural(layers, 'layer')}, on ${shown}, ${formatSeconds(seconds)}${normalizationText(calibration)}`;
}

const origins: Readonly<Record<Exclude<NormalizationOrigin, 'option'>, string>> = {
  metadata: "from the model's metadata",
  graph: "from the model's input",
  'batch-normalization': 'from its BatchNormalization',
  arrays: 'as the arrays are',
  assumed: 'assumed: nothing in the model says',
};

/** What the user did not say, where a report has no preparation, which says all of it. */
function normalizationText(calibration: Calibration): string {
  const { normalizationName: name, normalizationFrom: from, normalization, preparation } = calibration;
  if (from === 'option' || preparation !== undefined) return '';
  const { mean, deviation } = normalization;
  return `, normalized as ${name ?? `mean ${mean.join(', ')}, std ${deviation.join(', ')}`} (${origins[from]})`;
}
