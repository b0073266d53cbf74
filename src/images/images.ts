import { areUsualChannels, mostChannels } from '../channels.js';
import { LowrankError } from '../errors.js';
import { checkTrainable } from '../data/balance.js';
import { namedNormalizations, NORMALIZATIONS, type Normalization, normalizationFor } from '../data/normalize.js';
import { openSource, partsIn } from '../data/open.js';
import { findSplit } from '../data/source.js';
import type { CenterCrop } from '../data/transform.js';
import type { ImageSource } from '../data/types.js';
import { usualResize } from '../graph/image-facts.js';
import { pictureLayoutOf } from '../graph/image-layout.js';
import { calledSides, requireShape } from './sample-shape.js';
import type { DataSummary } from '../contracts/train.js';
import { type ClassSources, type LabelledImages, openLabelled } from './labelled-images.js';

/**
 * A normalization by name, or by means and deviations, for pictures of so many channels: one number stands for all of them; null
 * is that of ImageNet, of other than three channels from 0 to 1. Throws USAGE for others.
 */
export function normalizationOf(
  settings: {
    readonly normalization: string | null;
    readonly mean: readonly number[] | null;
    readonly std: readonly number[] | null;
  },
  channels: number,
): Normalization {
  const { normalization, mean, std } = settings;
  if (normalization === null && mean === null && std === null) return usualNormalization(channels);
  if (mean !== null || std !== null) {
    const means = numbersOf(mean, '--mean', channels);
    const deviation = numbersOf(std, '--std', channels);
    if (deviation.some((value) => !(value > 0))) {
      throw new LowrankError('USAGE', `a standard deviation of ${deviation.join(', ')} divides by none`, {
        remedy: 'give --std as numbers above 0, such as 0.229,0.224,0.225',
      });
    }
    return normalizationFor({ mean: means, deviation }, channels)!;
  }
  const choices = namedNormalizations(channels).filter(([, { mean }]) => channels < 0 || mean.length === channels);
  const named = choices.find(([name]) => name === normalization);
  if (named !== undefined) return named[1];
  const isOfColors = normalization !== null && normalization in NORMALIZATIONS;
  const fact = isOfColors
    ? `normalization '${normalization}' is of three colors, and the model takes ${channels === 1 ? 'grey pictures' : `${channels} channels`}`
    : `there is no normalization '${normalization}'`;
  throw new LowrankError('USAGE', fact, {
    remedy: `choose one of ${choices.map(([name]) => name).join(', ')}, or give --mean and --std`,
  });
}

/** What is usual where nobody says it: of colors, or of any number of channels (−1), that of ImageNet; else from 0 to 1. */
export function usualNormalization(channels: number): Normalization {
  const areColors = channels === 3 || channels < 0;
  return areColors ? NORMALIZATIONS.imagenet : normalizationFor(NORMALIZATIONS.unit, channels)!;
}

/** One number, or one of each channel; of any number of channels (−1) as many as there are. */
function numbersOf(values: readonly number[] | null, name: string, channels: number): Normalization['mean'] {
  if (values !== null && values.length > 0 && (values.length === 1 || values.length === channels || channels < 0))
    return values;
  const count = `${name} has ${values?.length ?? 0} numbers`;
  if (channels === 1) {
    throw new LowrankError('USAGE', `${count} where the pictures are grey`, {
      remedy: 'give --mean and --std as one number each, such as 0.5',
    });
  }
  if (channels < 0) {
    throw new LowrankError('USAGE', `${count} where one stands for all channels, or one for each`, {
      remedy: 'give --mean and --std alike, such as 0.485,0.456,0.406 and 0.229,0.224,0.225, or one number each',
    });
  }
  if (channels !== 3) {
    throw new LowrankError('USAGE', `${count} where the channels are ${channels}`, {
      remedy: `give --mean and --std as ${channels} numbers each, or as one for all`,
    });
  }
  throw new LowrankError('USAGE', `${count} where the channels are three, or one`, {
    remedy: 'give --mean and --std as three numbers each, such as 0.485,0.456,0.406, or as one for all',
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

/** Throws UNSUPPORTED where an input, given its dims without the batch, takes no pictures. */
function requirePictures(imageDims: readonly number[], layout: 'nchw' | 'nhwc', inputName: string): void {
  const { channels } = calledSides(imageDims, layout);
  const isPicture = imageDims.length === 3 && channels >= 1 && channels <= mostChannels;
  if (isPicture && (areUsualChannels(channels) || pictureLayoutOf(imageDims) === layout)) return;
  const shown = imageDims.join(', ');
  const isLast = imageDims.length === 3 && pictureLayoutOf(imageDims) !== layout;
  const fact = isLast
    ? 'training takes channels last only where they are 1 or 3'
    : `pictures have 1 to ${mostChannels} channels`;
  throw new LowrankError('UNSUPPORTED', `the model takes [${shown}], and ${fact}`, {
    place: `input '${inputName}'`,
    remedy: `give arrays (.npy) of [${shown}], or a model of pictures (PNG, TIFF) of 1 to ${mostChannels} channels`,
  });
}

/**
 * Throws UNSUPPORTED (`requirePictures`) where a model does not take the images of a source, INPUT where it takes arrays of another shape
 * than the source has, and where the training images, `first`, are of another kind.
 */
export function requireSamples(
  { arrays, path }: ImageSource,
  { arrays: first }: ImageSource,
  { imageDims, layout, inputName }: { imageDims: readonly number[]; layout: 'nchw' | 'nhwc'; inputName: string },
): void {
  if (arrays === undefined) requirePictures(imageDims, layout, inputName);
  else requireShape(arrays, imageDims, `${path}; input '${inputName}'`);
  if (arrays?.type === first?.type) return;
  const [own, other] = [arrays, first].map((each) => (each === undefined ? 'pictures' : `arrays of ${each.type}`));
  throw new LowrankError('INPUT', `one data set holds ${other}, and the other ${own}`, {
    place: path,
    remedy: 'give samples of one kind to learn from and to judge by',
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
