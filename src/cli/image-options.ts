import { LowrankError } from '../errors.js';

/** How images become inputs of a model: the same options in `train`, `eval` and `convert --recalibrate`. */
export function imageOptions<const Group extends string>(group: Group) {
  return {
    imageSize: {
      type: 'integer',
      minimum: 1,
      group,
      placeholder: 'pixels',
      description: 'side of the images (default: what the model says, else 224)',
    },
    normalization: {
      type: 'string',
      group,
      placeholder: 'name',
      description: 'imagenet, cifar10, cifar100, symmetric, unit or none (default: imagenet)',
    },
    mean: { type: 'string', group, placeholder: 'r,g,b', description: 'means of the channels, from 0 to 1' },
    std: { type: 'string', group, placeholder: 'r,g,b', description: 'standard deviations of the channels' },
  } as const;
}

/** "0.1,0.2,0.3". Throws USAGE. */
export function numbers(text: string | undefined, option: string): readonly number[] | undefined {
  if (text === undefined) return undefined;
  const values = text.split(',').map((word) => (word.trim() === '' ? Number.NaN : Number(word)));
  if (values.every(Number.isFinite)) return values;
  throw new LowrankError('USAGE', `${option} is '${text}'`, { remedy: 'give numbers such as 0.485,0.456,0.406' });
}
