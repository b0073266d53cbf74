import { LowrankError } from '../errors.js';
import type { FactOrigin, Preparation } from '../contracts/images.js';
import type { ImageSettings } from '../images/image-settings.js';
import type { SettingsOf } from './options.js';
import { given } from './training-options.js';

/** How images become inputs of a model: the same options wherever pictures come in. */
export function imageOptions<const Group extends string>(group: Group) {
  return {
    imageSize: {
      type: 'integer',
      minimum: 1,
      group,
      placeholder: 'pixels',
      description: 'side of the images (default: what the model says, else 224)',
    },
    resize: {
      type: 'integer',
      minimum: 1,
      group,
      placeholder: 'pixels',
      description:
        'shorter side before the center crop, over black where it is less than the image size (default: what the model says, else the image size / 0.875, or itself up to 64)',
    },
    stretch: {
      type: 'boolean',
      group,
      description:
        "stretch the whole image to the model's size, in place of the center crop (default: what the model says)",
    },
    interpolation: {
      type: 'string',
      choices: ['bilinear', 'bicubic'],
      group,
      description: 'how images are resized (default: what the model says, else bilinear)',
    },
    normalization: {
      type: 'string',
      group,
      placeholder: 'name',
      description:
        'imagenet, cifar10, cifar100, symmetric, unit or none (default: what the model says or tells, else imagenet; unit of grey images)',
    },
    mean: {
      type: 'string',
      group,
      placeholder: 'r,g,b',
      description: 'means of the channels, from 0 to 1, or one for all',
    },
    std: {
      type: 'string',
      group,
      placeholder: 'r,g,b',
      description: 'standard deviations of the channels, or one for all',
    },
  } as const;
}

/** Values of inputs that are no images. */
export function inputOption<const Group extends string>(group: Group) {
  return {
    input: {
      type: 'list',
      group,
      placeholder: 'name=value',
      description:
        'value of an input that is no image: a number, numbers for the elements of one image (0,1,2), or @file.npy; once for each input',
    },
  } as const;
}

/** What `inputOption` was given, as a setting. */
export function givenInputs(input: readonly string[]): { readonly inputs?: readonly string[] } {
  return input.length === 0 ? {} : { inputs: input };
}

/** What `imageOptions` were given, as settings. Throws USAGE. */
export function givenImageSettings(settings: SettingsOf<ReturnType<typeof imageOptions>>) {
  const { imageSize, resize, stretch, interpolation, normalization, mean, std } = settings;
  return given({
    imageSize,
    resize,
    stretch,
    interpolation,
    normalization,
    mean: numbers(mean, '--mean'),
    std: numbers(std, '--std'),
  } satisfies Record<Exclude<keyof ImageSettings, 'inputs'>, unknown>);
}

/**
 * What repeats a preparation of images, as the options take it: what somebody or the file said. What was assumed, or found by
 * BatchNormalization, is so again.
 */
export function imageSettingsText({ normalization, size, resize }: Preparation): Readonly<Record<string, unknown>> {
  const isSaid = ({ from }: { readonly from: FactOrigin }): boolean =>
    from !== 'assumed' && from !== 'batch-normalization' && from !== 'arrays';
  const { name, mean, deviation } = normalization;
  const numbers = name === null ? { mean: mean.join(','), std: deviation.join(',') } : {};
  const { shorterSide, rule, interpolation } = resize;
  return {
    ...(isSaid(size) ? { imageSize: Math.min(size.width, size.height) } : {}),
    ...(isSaid(resize) ? { resize: shorterSide, stretch: rule === 'stretch', interpolation } : {}),
    ...(isSaid(normalization) ? { normalization: name, ...numbers } : {}),
  };
}

/** "0.1,0.2,0.3". Throws USAGE. */
function numbers(text: string | undefined, option: string): readonly number[] | undefined {
  if (text === undefined) return undefined;
  const values = text.split(',').map((word) => (word.trim() === '' ? Number.NaN : Number(word)));
  if (values.every(Number.isFinite)) return values;
  throw new LowrankError('USAGE', `${option} is '${text}'`, { remedy: 'give numbers such as 0.485,0.456,0.406' });
}
