import type { Model } from './model.js';

/** Keys of `metadata_props` that say how images become inputs of a model: see docs/metadata.md. */
export const imageKeys = {
  normalization: 'lowrank.normalization',
  normalizationFrom: 'lowrank.normalization_from',
  imageSize: 'lowrank.image_size',
  resize: 'lowrank.resize',
  interpolation: 'lowrank.interpolation',
  classes: 'lowrank.classes',
  arrays: 'lowrank.arrays',
} as const;

/** Images up to this side are shown whole: such data sets (CIFAR) come in the size of the model. */
const smallSide = 64;

/** What the shorter side is resized to before the center is cut out, where nobody says it. */
export function usualResize(side: number): number {
  return side <= smallSide ? side : Math.round(side / 0.875);
}

/** What is known of the images that a model takes. What is not given is not known, and stays in the file as it is. */
export interface ImageFacts {
  /** By name where it has one. */
  readonly normalization?: string | { readonly mean: readonly number[]; readonly deviation: readonly number[] };
  /** Nobody said the normalization: the statistics of BatchNormalization tell. Default false. */
  readonly isInferred?: boolean;
  /** Side of square images in pixels. */
  readonly imageSize?: number;
  /** The shorter side before the center is cut out, in pixels; or the whole image is stretched. */
  readonly resize?: number | 'stretch';
  readonly interpolation?: string;
  /** The type of the arrays that the normalization is of, where the model takes no pictures. */
  readonly arrays?: string;
  /** In the order of the outputs. */
  readonly classes?: { readonly ids: readonly string[]; readonly titles: readonly string[] };
}

/** Writes what is known into the model's metadata. */
export function recordImageFacts({ metadata }: Model, facts: ImageFacts): void {
  const { normalization, isInferred = false, imageSize, resize, interpolation, arrays, classes } = facts;
  if (normalization !== undefined) {
    const isNamed = typeof normalization === 'string';
    const numbers = isNamed ? undefined : { mean: normalization.mean, std: normalization.deviation };
    metadata.set(imageKeys.normalization, isNamed ? normalization : JSON.stringify(numbers));
    if (isInferred) metadata.set(imageKeys.normalizationFrom, 'batch-normalization');
    else metadata.delete(imageKeys.normalizationFrom);
    if (arrays === undefined) metadata.delete(imageKeys.arrays);
    else metadata.set(imageKeys.arrays, arrays);
  }
  if (imageSize !== undefined) metadata.set(imageKeys.imageSize, String(imageSize));
  if (resize !== undefined) metadata.set(imageKeys.resize, String(resize));
  if (interpolation !== undefined) metadata.set(imageKeys.interpolation, interpolation);
  if (classes !== undefined) {
    const entries = classes.ids.map((id, index) => (classes.titles[index] === id ? id : [id, classes.titles[index]]));
    metadata.set(imageKeys.classes, JSON.stringify(entries));
  }
}
