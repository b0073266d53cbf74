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
