import { type Normalization, normalizationTable, type PerChannel } from '../data/normalize.js';
import type { RuntimeTensor } from '../runtime/types.js';
import { type ImageInput, imageFeed } from './image-input.js';

/** The 256 values of each channel: those of the normalization, or of its mean where it is of another number of them. */
function tablesOf({ mean, deviation }: Normalization, channels: number): readonly Float32Array[] {
  if (channels === mean.length) return normalizationTable({ mean, deviation });
  const average = (values: PerChannel): PerChannel => [
    values.reduce((sum: number, value) => sum + value, 0) / values.length,
  ];
  const [table] = normalizationTable({ mean: average(mean), deviation: average(deviation) });
  return Array.from({ length: channels }, () => table!);
}

/** What black and white of each channel are to a model. */
export function rangesOf(normalization: Normalization, channels: number): readonly (readonly [number, number])[] {
  return tablesOf(normalization, channels).map((table) => [table[0]!, table[255]!] as const);
}

/** Pictures, [height, width, channels] each, as a model takes them; bytes are not normalized. */
export function pictureFeed(
  pictures: readonly Uint8Array[],
  input: ImageInput,
  normalization: Normalization,
): Record<string, RuntimeTensor> {
  const { channels, width, height, layout, type } = input;
  const pixels = width * height;
  const elements = pictures.length * pixels * channels;
  const data = type === 'uint8' ? new Uint8Array(elements) : new Float32Array(elements);
  const tables = type === 'uint8' ? undefined : tablesOf(normalization, channels);
  const [pixelStep, channelStep] = layout === 'nhwc' ? [channels, 1] : [1, pixels];
  for (const [index, picture] of pictures.entries()) {
    for (let channel = 0; channel < channels; channel++) {
      const table = tables?.[channel];
      let to = index * pixels * channels + channel * channelStep;
      for (let from = channel; from < picture.length; from += channels, to += pixelStep) {
        data[to] = table === undefined ? picture[from]! : table[picture[from]!]!;
      }
    }
  }
  return imageFeed(input, data, [pictures.length, ...input.imageDims]);
}
