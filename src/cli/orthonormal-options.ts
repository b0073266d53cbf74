import { adaptRanges, adaptSchemes } from '../adapt/settings.js';
import { decayRange, type OrthonormalOptions } from '../adapt/orthonormal-pairs.js';
import { LowrankError } from '../errors.js';
import { kebabCase, type SettingsOf } from './options.js';

const group = 'Low-rank start';

/** Options of `create` for layers that are drawn as pairs. */
export const orthonormalOptions = {
  orthonormal: {
    type: 'boolean',
    default: false,
    group,
    description: 'draw layers as U S Vᵀ, U and V orthonormal, S = |N(0, 1)|: what `train --adapt-ranks` starts from',
  },
  startRank: {
    ...adaptRanges.startRank,
    group,
    placeholder: 'rank',
    description: 'rank of the layers, where they have as many (default: half of what each can have)',
  },
  decay: {
    ...decayRange,
    group,
    placeholder: 'factor',
    description: 'ratio of each singular value to the one before it, on top of what is drawn (default: 1)',
  },
  scheme: {
    type: 'string',
    choices: adaptSchemes,
    group,
    description: 'the matrix of convolutions (default: channel)',
  },
  include: {
    type: 'list',
    isVariadic: true,
    placeholder: 'glob',
    group,
    description: 'layers that are drawn as pairs (default: all)',
  },
  exclude: { type: 'list', isVariadic: true, placeholder: 'glob', group, description: 'layers that are not' },
  keepFirst: { type: 'boolean', default: true, group, description: 'draw the first layer as a pair too' },
  keepLast: { type: 'boolean', default: true, group, description: 'draw the last layer as a pair too' },
} as const;

/** How layers are to be drawn as pairs; undefined where they are not. Throws USAGE for options that say how without --orthonormal. */
export function orthonormalOf(
  {
    orthonormal,
    startRank,
    decay,
    scheme,
    include,
    exclude,
    keepFirst,
    keepLast,
  }: SettingsOf<typeof orthonormalOptions>,
  given: ReadonlySet<string>,
): OrthonormalOptions | undefined {
  if (!orthonormal) {
    const stray = Object.keys(orthonormalOptions).find((name) => name !== 'orthonormal' && given.has(name));
    if (stray === undefined) return undefined;
    throw new LowrankError('USAGE', 'it says how layers are drawn as pairs, and none are', {
      place: stray.startsWith('keep') ? `--no-${kebabCase(stray)}` : `--${kebabCase(stray)}`,
      remedy: 'give --orthonormal too, or leave it out',
    });
  }
  const all = { startRank, decay, scheme, include, exclude, keepFirst, keepLast };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}
