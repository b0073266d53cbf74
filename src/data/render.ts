import { decodeRegion, imageHeaderOf, reductionFor } from './decode.js';
import type { ImageWriter } from './normalize.js';
import { type Pixels, toGrey } from './pixels.js';
import { planResampling, resample, type Resampling } from './resample.js';
import { viewOf, type Draw, type PictureTransform } from './transform.js';
import type { ImageContent } from './types.js';

export interface RenderSettings {
  readonly transform: PictureTransform;
  readonly write: ImageWriter;
  /** Colors become luma before anything is resampled. */
  readonly isGrey: boolean;
  readonly pixelLimit: number;
}

/**
 * Decodes an image, transforms it with the numbers that `draw` gives, and writes it to `target`, which holds exactly one
 * image. Throws FORMAT with the reason where the image cannot be used.
 */
export async function render(
  content: ImageContent,
  { transform, write, isGrey, pixelLimit }: RenderSettings,
  draw: Draw,
  target: Uint8Array | Float32Array,
): Promise<void> {
  const shown = (pixels: Pixels): Pixels => (isGrey ? toGrey(pixels) : pixels);
  if ('pixels' in content) {
    const pixels = content.isGrey === true ? content.pixels : shown(content.pixels);
    const view = viewOf(transform, pixels.width, pixels.height, draw);
    write(view.resampling && resample(pixels, planResampling(view.resampling)), view, target);
    return;
  }
  const { bytes } = content;
  const header = await imageHeaderOf(bytes, pixelLimit);
  const view = viewOf(transform, header.width, header.height, draw);
  const { resampling } = view;
  if (resampling === undefined) {
    await decodeRegion(bytes, header);
    write(undefined, view, target);
    return;
  }
  const reduction = view.mayReduce ? reductionFor(header, resampling.box, view) : undefined;
  const plan = planResampling(reduction === undefined ? resampling : reduce(resampling, header, reduction));
  const region = await decodeRegion(bytes, header, { box: plan.source, reduction });
  // The decoder may have had to take every pixel.
  const isAsPlanned = region.isReduced === (reduction !== undefined);
  write(resample(shown(region.pixels), isAsPlanned ? plan : planResampling(resampling), region), view, target);
}

interface Size {
  readonly width: number;
  readonly height: number;
}

/** The same resampling of the reduced image. */
function reduce(resampling: Resampling, from: Size, to: Size): Resampling {
  const x = (value: number): number => Math.min(to.width, (value * to.width) / from.width);
  const y = (value: number): number => Math.min(to.height, (value * to.height) / from.height);
  const { left, top, right, bottom } = resampling.box;
  return { ...resampling, box: { left: x(left), top: y(top), right: x(right), bottom: y(bottom) } };
}
