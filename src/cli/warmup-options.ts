import { LowrankError } from '../errors.js';
import { parseThen } from './then-options.js';

const group = 'Full-rank epochs first';

/** How a training begins that ends in pairs. */
export const warmupOptions = {
  warmupFull: {
    type: 'string',
    placeholder: 'auto|n',
    group,
    description:
      'epochs in full rank, then the model is converted and its pairs are trained; auto: until the stable ranks of its layers have settled, at most half of the epochs (default: none)',
  },
  // oxlint-disable-next-line unicorn/no-thenable -- what it has is no function
  then: {
    type: 'string',
    placeholder: 'options',
    group,
    description:
      'options of convert for that, such as "rank-scale 0.25 --scheme channel" (default: those of convert, on the training images; with auto the ranks are what the stable ranks say)',
  },
} as const;

/** The settings of options that were given. Throws USAGE. */
export function givenWarmup({
  warmupFull,
  then,
}: {
  readonly warmupFull: string | undefined;
  readonly then: string | undefined;
}) {
  return {
    warmupFull: warmupFull === undefined ? undefined : epochsOf(warmupFull),
    conversion: then === undefined ? undefined : parseThen(then),
  };
}

function epochsOf(text: string): number | 'auto' {
  if (text === 'auto') return text;
  if (/^[1-9]\d*$/.test(text)) return Number(text);
  throw new LowrankError('USAGE', `--warmup-full is '${text}'`, { remedy: 'give a whole number of epochs, or auto' });
}
