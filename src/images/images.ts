import { LowrankError } from '../errors.js';
import { checkTrainable } from '../data/balance.js';
import { NORMALIZATIONS, type Normalization } from '../data/normalize.js';
import { openSource, partsIn } from '../data/open.js';
import { findSplit } from '../data/source.js';
import type { CenterCrop } from '../data/transform.js';
import type { ImageSource } from '../data/types.js';
import { usualResize } from '../graph/image-facts.js';
import type { DataSummary } from '../contracts/train.js';
import { type ClassSources, type LabelledImages, openLabelled } from './labelled-images.js';

/** A normalization by name, or by means and deviations; null is that of ImageNet. Throws USAGE for others. */
export function normalizationOf(settings: {
  readonly normalization: string | null;
  readonly mean: readonly number[] | null;
  readonly std: readonly number[] | null;
}): Normalization {
  const { normalization, mean, std } = settings;
  if (normalization === null && mean === null && std === null) return NORMALIZATIONS.imagenet;
  if (mean !== null || std !== null) {
    const three = (values: readonly number[] | null, name: string): readonly [number, number, number] => {
      if (values?.length === 3) return [values[0]!, values[1]!, values[2]!];
      throw new LowrankError('USAGE', `${name} has ${values?.length ?? 0} numbers where the channels are three`, {
        remedy: 'give --mean and --std as three numbers each, such as 0.485,0.456,0.406',
      });
    };
    const means = three(mean, '--mean');
    const deviation = three(std, '--std');
    if (deviation.some((value) => !(value > 0))) {
      throw new LowrankError('USAGE', `a standard deviation of ${deviation.join(', ')} divides by none`, {
        remedy: 'give --std as three numbers above 0, such as 0.229,0.224,0.225',
      });
    }
    return { mean: means, deviation };
  }
  const named = Object.entries(NORMALIZATIONS).find(([name]) => name === normalization);
  if (named !== undefined) return named[1];
  throw new LowrankError('USAGE', `there is no normalization '${normalization}'`, {
    remedy: `choose one of ${Object.keys(NORMALIZATIONS).join(', ')}, or give --mean and --std`,
  });
}

/** Opens training images. Throws INPUT where a class of the set's own is empty. */
export async function openTraining(path: string, classes: ClassSources): Promise<LabelledImages> {
  const images = await openLabelled((list) => openSource(path, { split: 'train', classes: list }), classes);
  try {
    checkTrainable(images.source);
    return images;
  } catch (error) {
    await images.source.close();
    throw error;
  }
}

/** Opens the images to evaluate on: the part `split`, else that for validation where the data set has parts. */
export function openEvaluation(path: string, split: string | null, classes: ClassSources): Promise<LabelledImages> {
  const part = split ?? (hasValidation(path) ? 'val' : undefined);
  return openLabelled((list) => openSource(path, { split: part, classes: list }), classes);
}

/** Opens validation images in the classes of the training images; undefined where none are given and `data` has none. */
export async function openValidation(
  val: string | undefined,
  data: string,
  training: ImageSource,
): Promise<ImageSource | undefined> {
  const classes = { ids: training.classes, titles: training.titles };
  if (val !== undefined) return openSource(val, { split: 'val', classes });
  return hasValidation(data) ? openSource(data, { split: 'val', classes }) : undefined;
}

function hasValidation(path: string): boolean {
  return findSplit('val', partsIn(path)) !== undefined;
}

/** Throws INPUT where the classes of the images are not those of the model. */
export function requireClasses(source: ImageSource, outputs: number, remedy: string): void {
  if (source.classes.length === outputs) return;
  throw new LowrankError('INPUT', `the images have ${source.classes.length} classes and the model ${outputs} outputs`, {
    place: source.path,
    remedy,
  });
}

/** Sides of the images of a model's input, given its dims without the batch. Throws UNSUPPORTED for other than three colors. */
export function imageSizeOf(
  imageDims: readonly number[],
  layout: 'nchw' | 'nhwc',
  inputName: string,
): { readonly width: number; readonly height: number } {
  const [height, width, channels] =
    layout === 'nhwc' ? [imageDims[0]!, imageDims[1]!, imageDims[2]!] : [imageDims[1]!, imageDims[2]!, imageDims[0]!];
  if (imageDims.length === 3 && channels === 3) return { width, height };
  throw new LowrankError('UNSUPPORTED', `the model takes [${imageDims.join(', ')}] where images have three colors`, {
    place: `input '${inputName}'`,
    remedy: 'give a model of color images',
  });
}

/** How an image becomes an input where nothing is left to chance: the shorter side is resized, the center cut out. */
export function centerCrop(
  { width, height }: { readonly width: number; readonly height: number },
  resize: number | null,
): CenterCrop {
  return { kind: 'center-crop', width, height, resize: resize ?? usualResize(Math.min(width, height)) };
}

export function summaryOf(source: ImageSource): DataSummary {
  return { path: source.path, images: source.length, classes: source.classes.length };
}
