import { LowrankError } from './errors.js';

/** Numbers that a setting may have. `minimum` and `maximum` are inclusive, `above` and `below` are not. */
export interface Range {
  readonly type: 'number' | 'integer';
  readonly minimum?: number;
  readonly maximum?: number;
  readonly above?: number;
  readonly below?: number;
}

/** What is wrong with a value, and what to give instead; undefined where it is in the range. */
export interface RangeFault {
  /** "is not a whole number", "is out of range". */
  readonly fact: string;
  readonly remedy: string;
}

/**
 * Whether a number is one that the range has. What computes has float32: a number that rounds to an open end is that end, and
 * refused like it.
 */
export function rangeFault(range: Range, value: unknown): RangeFault | undefined {
  const { type, minimum = -Infinity, maximum = Infinity, above = -Infinity, below = Infinity } = range;
  const kind = type === 'integer' ? 'a whole number' : 'a number';
  const bounds = [
    range.minimum === undefined ? [] : [`at least ${minimum}`],
    range.above === undefined ? [] : [`above ${above}`],
    range.maximum === undefined ? [] : [`at most ${maximum}`],
    range.below === undefined ? [] : [`below ${below}`],
  ].flat();
  const remedy = `give ${[kind, ...bounds].join(', ')}`;
  const isKind =
    typeof value === 'number' && (type === 'integer' ? Number.isSafeInteger(value) : Number.isFinite(value));
  if (!isKind) return { fact: `is not ${kind}`, remedy };
  const rounded = Math.fround(value);
  const isWithin = value >= minimum && value <= maximum && value > above && value < below;
  const isRounded = rounded <= above || rounded >= below;
  return isWithin && !isRounded ? undefined : { fact: 'is out of range', remedy };
}

/** A share of which the whole leaves nothing: weights that never move, images or activations that are all dropped. */
export const share = { type: 'number', minimum: 0, below: 1 } as const;
export const notNegative = { type: 'number', minimum: 0 } as const;
export const positive = { type: 'number', above: 0 } as const;
export const count = { type: 'integer', minimum: 1 } as const;
export const whole = { type: 'integer', minimum: 0 } as const;

/** The names of settings that are numbers, or a number or null. */
export type NumberOf<Settings> = {
  readonly [Name in keyof Settings]-?: number extends Settings[Name]
    ? Name
    : number | null extends Settings[Name]
      ? Name
      : never;
}[keyof Settings];

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
