import type { Normalization } from '../data/normalize.js';
import type { AsStored, CenterCrop, Stretch } from '../data/transform.js';
import type { SampleArrays } from '../data/types.js';
import type { CalibrateContext } from '../factorize/calibration/types.js';
import type { Model } from '../graph/model.js';
import { readModel } from '../graph/read.js';
import { fixInputs } from '../passes/fix-inputs.js';
import { inlineFunctions } from '../passes/inline-functions.js';
import { toInferenceForm } from '../passes/inference-form.js';
import type { FactOrigin, Preparation } from '../contracts/images.js';
import type { Session } from '../runtime/types.js';
import { findNormalization, type FoundNormalization } from './find-normalization.js';
import { type ImageInput, imageInputOf, inputsOf } from './image-input.js';
import { prepareArrays } from './prepare-arrays.js';
import { type ImageHints, imageHints, normalizationName } from './image-metadata.js';
import { givenNormalization, type ImageSettings } from './image-settings.js';
import { centerCrop } from './images.js';

/** How images become inputs of a model, ready to be used, and as reports say it. */
export interface ImagePreparation {
  readonly input: ImageInput;
  readonly normalization: Normalization;
  readonly transform: CenterCrop | Stretch | AsStored;
  readonly report: Preparation;
}

export interface PrepareContext extends Pick<CalibrateContext, 'path' | 'driver' | 'session' | 'signal'> {
  /** A session of the model that is open. Default: what its graph declares. */
  readonly opened?: Pick<Session, 'inputs'>;
  /** Pictures that are drawn: where the channels are none of colors, numbers of three colors stand for them. Default: false. */
  readonly isDrawn?: boolean;
  /** What the samples are where they are arrays. */
  readonly arrays?: SampleArrays | undefined;
}

/**
 * The one place that decides how images become inputs of a model: what the user says, else what the model's metadata say, else
 * what its graph tells, else what is usual. Nothing of this can make it fail but settings that do not fit: throws USAGE, and
 * UNSUPPORTED where the model takes no images, ABORTED.
 */
export async function prepareImages(
  model: Model,
  settings: ImageSettings,
  context: PrepareContext,
): Promise<ImagePreparation> {
  const hints = imageHints(model.metadata);
  const { path, opened = { inputs: inputsOf(model) }, arrays } = context;
  if (arrays !== undefined) return prepareArrays(model, settings, { ...context, opened, arrays });
  const { imageSize } = settings;
  const { input, from } = sizedInput(opened, path, { imageSize, told: hints.imageSize });
  const normalization = await normalizationFor(settings, model, input, context);
  const { transform, from: resizeFrom } = resizing(input, settings, hints);
  const { width, height } = input;
  const { mean, deviation } = normalization.normalization;
  return {
    input,
    normalization: normalization.normalization,
    transform,
    report: {
      normalization: { name: normalization.name, mean, deviation, from: normalization.from },
      size: { width, height, from },
      resize: {
        rule: transform.kind,
        shorterSide: transform.kind === 'stretch' ? null : transform.resize,
        interpolation: transform.interpolation ?? 'bilinear',
        from: resizeFrom,
      },
    },
  };
}

/** `prepareImages` of a model file, in the form in which it is run. Throws what `readModel` throws, too. */
export async function prepareFile(
  path: string,
  settings: ImageSettings,
  context: Omit<PrepareContext, 'path' | 'opened'>,
): Promise<ImagePreparation> {
  const model = readModel(path);
  try {
    inlineFunctions(model, 'what can be');
    toInferenceForm(model);
    fixInputs(model, settings.inputs);
    return await prepareImages(model, settings, { ...context, path });
  } finally {
    model.file?.close();
  }
}

/** The input of a model, images of any side in that of the user, else in that which is told of the model. */
export function sizedInput(
  opened: Pick<Session, 'inputs'>,
  path: string,
  { imageSize, told }: { imageSize: number | null; told: number | undefined },
): { readonly input: ImageInput; readonly from: FactOrigin } {
  const inputOf = (side: number | null): ImageInput => imageInputOf(opened, path, side);
  const input = inputOf(imageSize);
  if (imageSize !== null) return { input, from: 'option' };
  const sides = opened.inputs[0]!.dims.slice(1).toSpliced(input.layout === 'nhwc' ? 2 : 0, 1);
  // The shape of the input outweighs what the metadata say of it.
  if (!sides.some((dim) => dim < 0)) return { input, from: 'graph' };
  return told === undefined ? { input, from: 'assumed' } : { input: inputOf(told), from: 'metadata' };
}

/** What the user says, else what is found. Bytes are as they are. */
async function normalizationFor(
  settings: ImageSettings,
  model: Model,
  input: ImageInput,
  context: PrepareContext,
): Promise<FoundNormalization> {
  const given = givenNormalization(settings, input.channels);
  if (given === undefined || input.type === 'uint8') return findNormalization(model, input, context);
  return { normalization: given, name: normalizationName(given), from: 'option' };
}

/** How the shorter side is resized, or the whole image. */
export function resizing(
  size: { readonly width: number; readonly height: number },
  settings: Pick<ImageSettings, 'resize' | 'stretch' | 'interpolation'>,
  hints: Pick<ImageHints, 'resize' | 'interpolation'> = { resize: undefined, interpolation: undefined },
): { readonly transform: CenterCrop | Stretch; readonly from: FactOrigin } {
  const { width, height } = size;
  const interpolation = settings.interpolation ?? hints.interpolation;
  const interpolated = interpolation === undefined ? {} : { interpolation };
  const stretched: Stretch = { kind: 'stretch', width, height, ...interpolated };
  const cropped = (resize: number | null): CenterCrop => ({ ...centerCrop(size, resize), ...interpolated });
  const { resize, stretch } = settings;
  if (stretch === true) return { transform: stretched, from: 'option' };
  if (resize !== null || stretch === false) return { transform: cropped(resize), from: 'option' };
  const hint = hints.resize;
  if (hint === undefined) {
    const from =
      settings.interpolation !== null ? 'option' : hints.interpolation === undefined ? 'assumed' : 'metadata';
    return { transform: cropped(null), from };
  }
  return { transform: hint.kind === 'stretch' ? stretched : cropped(pixelsOf(hint, size)), from: 'metadata' };
}

function pixelsOf(
  hint: Exclude<NonNullable<ImageHints['resize']>, { readonly kind: 'stretch' }>,
  { width, height }: { readonly width: number; readonly height: number },
): number {
  const side = Math.min(width, height);
  // As timm rounds.
  if ('share' in hint) return Math.floor(side / hint.share);
  return hint.side === undefined || hint.side === side ? hint.pixels : Math.round((hint.pixels * side) / hint.side);
}

/** Settings as they were carried out: what repeats a run, whatever the model says. */
export function inForce<Settings extends ImageSettings>(
  settings: Settings,
  { normalization, size, resize, arrays }: Preparation,
): Settings {
  const { name, mean, deviation, from } = normalization;
  const found = name === null ? { normalization: null, mean, std: deviation } : { normalization: name };
  if (arrays !== undefined) return from === 'option' ? settings : { ...settings, ...found };
  return {
    ...settings,
    imageSize: Math.min(size.width, size.height),
    resize: resize.shorterSide,
    stretch: resize.rule === 'stretch',
    interpolation: resize.interpolation,
    ...(from === 'option' ? {} : found),
  };
}
