import { LowrankError } from '../errors.js';
import { type Range, rangeFault } from '../range.js';
import type { TrainSettings } from './options.js';
import type { GraphSettings } from './settings.js';

/** A share of which the whole leaves nothing: weights that never move, images or activations that are all dropped. */
const share = { type: 'number', minimum: 0, below: 1 } as const;
const notNegative = { type: 'number', minimum: 0 } as const;
const positive = { type: 'number', above: 0 } as const;
const count = { type: 'integer', minimum: 1 } as const;
const whole = { type: 'integer', minimum: 0 } as const;

type NumberOf<Settings> = {
  readonly [Name in keyof Settings]-?: number extends Settings[Name]
    ? Name
    : number | null extends Settings[Name]
      ? Name
      : never;
}[keyof Settings];

/** The numbers that the emitted graphs depend on: for the options of commands and the settings of the library alike. */
export const graphRanges = {
  momentum: share,
  beta1: share,
  beta2: share,
  // With none, a gradient of zero is 0/0.
  epsilon: { type: 'number', above: 0, maximum: 1 },
  weightDecay: notNegative,
  frobeniusDecay: notNegative,
  labelSmoothing: share,
  clip: positive,
  dropout: share,
  dropPath: share,
} as const satisfies Record<NumberOf<GraphSettings>, Range>;

/** The numbers of a training. */
export const trainRanges = {
  ...graphRanges,
  epochs: count,
  batchSize: count,
  accumulate: count,
  lr: positive,
  warmup: notNegative,
  minLr: notNegative,
  decayEvery: positive,
  decayFactor: positive,
  ema: share,
  seed: whole,
  imageSize: count,
  resize: count,
  minScale: { type: 'number', above: 0, maximum: 1 },
  maxBad: whole,
  cache: whole,
  checkpointEvery: count,
  keepCheckpoints: count,
  saveEvery: count,
  gpuMemory: count,
  threads: count,
  workers: whole,
} as const satisfies Record<Exclude<NumberOf<TrainSettings>, 'microBatch'>, Range>;

/** Throws USAGE for a number out of its range. null stands for none where a setting has that. */
export function checkRanges<Ranges extends Readonly<Record<string, Range>>>(
  ranges: Ranges,
  settings: { readonly [Name in keyof Ranges]: number | null },
): void {
  for (const [name, range] of Object.entries<Range>(ranges)) {
    const value = settings[name];
    const fault = value === null ? undefined : rangeFault(range, value);
    if (fault === undefined) continue;
    throw new LowrankError('USAGE', `${name} is ${value}, which ${fault.fact}`, { remedy: fault.remedy });
  }
}

/** Throws USAGE for a word that is none of those that a setting has. */
export function checkChoices<Choices extends Readonly<Record<string, readonly string[]>>>(
  choices: Choices,
  settings: { readonly [Name in keyof Choices]: string },
): void {
  for (const [name, words] of Object.entries(choices)) {
    const value = settings[name]!;
    if (words.includes(value)) continue;
    throw new LowrankError('USAGE', `${name} is ${JSON.stringify(value)}`, {
      remedy: `choose one of ${words.join(', ')}`,
    });
  }
}

/** Throws USAGE for settings that there are not, and for those that are true or false by default and now neither. */
export function checkNames(defaults: object, settings: object): void {
  const known = new Map<string, unknown>(Object.entries(defaults));
  for (const [name, value] of Object.entries(settings)) {
    if (!known.has(name)) {
      throw new LowrankError('USAGE', `there is no setting '${name}'`, {
        remedy: `choose from ${[...known.keys()].join(', ')}`,
      });
    }
    if (typeof known.get(name) !== 'boolean' || typeof value === 'boolean') continue;
    throw new LowrankError('USAGE', `${name} is ${JSON.stringify(value)}`, { remedy: 'give true or false' });
  }
}
