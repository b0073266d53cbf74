import { type Bands, decodeBands, opaque, threeOf } from './bands.js';
import { badImage, imageHeaderOf } from './decode.js';
import { channelsOf, imageWriter, type OutputFormat } from './normalize.js';
import { planResampling, resample, type ResamplingPlan } from './resample.js';
import { viewOf, type Draw, type PictureTransform, type View } from './transform.js';
import type { ImageContent } from './types.js';

/** Renders one picture to `target`, which holds exactly one; `setFlip` is told whether it is mirrored. */
type RenderBands = (
  content: ImageContent,
  draw: Draw,
  target: Uint8Array | Float32Array,
  setFlip: (isFlipped: boolean) => void,
) => Promise<void>;

/**
 * `render` for models of other than one or three channels: every channel is resampled by itself, and what a view leaves out is 0 in
 * all. Bytes go through the very filters that color pictures go through; 16 bits are filtered without rounding, and 65535 is white.
 * Throws FORMAT with the reason where the picture cannot be used.
 */
export function bandsRenderer(settings: {
  readonly transform: PictureTransform;
  readonly format: OutputFormat;
  readonly pixelLimit: number;
}): RenderBands {
  const { transform, format, pixelLimit } = settings;
  const channels = channelsOf(format);
  const writeThree = imageWriter(format);
  const writeDeep = deepWriter(format);
  return async (content, draw, target, setFlip) => {
    const bands = await bandsOf(content, channels, pixelLimit);
    const drawn = viewOf(transform, bands.width, bands.height, draw);
    setFlip(drawn.isFlipped);
    const view = format.reportsFlips === true ? { ...drawn, isFlipped: false } : drawn;
    if (view.resampling === undefined) {
      writeThree(undefined, view, target);
      return;
    }
    const plan = planResampling(view.resampling);
    const { data, ...size } = bands;
    if (data instanceof Uint16Array) {
      writeDeep(resampleDeep({ data, ...size }, plan), plan, view, target);
      return;
    }
    for (let first = 0; first < channels; first += 3) {
      writeThree(resample(threeOf({ data, ...size }, first), plan), view, target, first);
    }
  };
}

async function bandsOf(content: ImageContent, channels: number, pixelLimit: number): Promise<Bands> {
  if ('bytes' in content) {
    return decodeBands(content.bytes, await imageHeaderOf(content.bytes, pixelLimit), channels, pixelLimit);
  }
  if (content.isConverted === true)
    throw badImage(`it was cached in three colors where the model takes ${channels} channels`);
  if (channels === 4) return opaque(content.pixels);
  const has = content.isGrey === true ? 1 : 3;
  throw badImage(`it has ${has} channels where the model takes ${channels}: give TIFF of ${channels} bands`);
}

/** The window of the resampled box, [height, width, channels], from 0 to 65535; nothing is rounded. */
function resampleDeep(
  { data, width, channels }: Bands & { readonly data: Uint16Array },
  { horizontal, vertical, source, ...output }: ResamplingPlan,
): Float32Array {
  const rows = source.bottom - source.top;
  const rowLength = output.width * channels;
  const scale = 2 ** -22;
  const between = new Float32Array(rows * rowLength);
  for (let y = 0; y < rows; y++) {
    const row = (source.top + y) * width;
    for (let x = 0; x < output.width; x++) {
      const first = (row + horizontal.starts[x]!) * channels;
      for (let channel = 0; channel < channels; channel++) {
        let sum = 0;
        for (let k = 0; k < horizontal.counts[x]!; k++) {
          sum += horizontal.weights[x * horizontal.taps + k]! * data[first + k * channels + channel]!;
        }
        between[y * rowLength + x * channels + channel] = sum * scale;
      }
    }
  }
  const result = new Float32Array(output.height * rowLength);
  for (let y = 0; y < output.height; y++) {
    const first = (vertical.starts[y]! - source.top) * rowLength;
    for (let at = 0; at < rowLength; at++) {
      let sum = 0;
      for (let k = 0; k < vertical.counts[y]!; k++) {
        sum += vertical.weights[y * vertical.taps + k]! * between[first + k * rowLength + at]!;
      }
      result[y * rowLength + at] = Math.min(65_535, Math.max(0, sum * scale));
    }
  }
  return result;
}

/** A writer of samples from 0 to 65535, as `imageWriter` is one of pixels: (x / 65535 − mean) / deviation, or bytes, x / 257 rounded. */
function deepWriter(
  format: OutputFormat,
): (samples: Float32Array, size: ResamplingPlan, view: View, target: Uint8Array | Float32Array) => void {
  const { type, layout, normalization } = format;
  const channels = channelsOf(format);
  const [means = [], deviations = []] = [normalization?.mean, normalization?.deviation].map((values) =>
    values?.map(Math.fround),
  );
  const valueOf =
    type === 'uint8'
      ? (x: number): number => Math.round(x / 257)
      : (x: number, channel: number): number =>
          Math.fround(Math.fround(x / 65_535) - means[channel]!) / deviations[channel]!;
  return (samples, size, { width, height, left, top, isFlipped }, target) => {
    const [pixelStep, channelStep] = layout === 'nhwc' ? [channels, 1] : [1, width * height];
    const put = (x: number, y: number, from: number | undefined): void => {
      const to = (y * width + (isFlipped ? width - 1 - x : x)) * pixelStep;
      for (let channel = 0; channel < channels; channel++) {
        target[to + channel * channelStep] = valueOf(from === undefined ? 0 : samples[from + channel]!, channel);
      }
    };
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const isInside = x >= left && x < left + size.width && y >= top && y < top + size.height;
        put(x, y, isInside ? ((y - top) * size.width + (x - left)) * channels : undefined);
      }
    }
  };
}
