import { LowrankError } from '../errors.js';
import type { EndKind } from '../passes/classifier-end.js';
import type { ElementType } from '../runtime/types.js';

/** What two models say of the classes of one image. */
export interface ImageDivergence {
  /**
   * KL(original ‖ converted) in nats; where classes do not exclude each other, the mean over them. NaN where the outputs are
   * no distribution.
   */
  readonly kl: number;
  /** Whether the class that is first is the same; null where classes do not exclude each other. */
  readonly isSameClass: boolean | null;
}

/** What rounds to 0 and to 1 in a type: probabilities that came out as 0 and 1 count as these. */
interface Precision {
  readonly aboveZero: number;
  readonly belowOne: number;
}

const precisions: Partial<Record<ElementType, Precision>> = {
  float64: { aboveZero: 2 ** -1074, belowOne: 2 ** -54 },
  float32: { aboveZero: 2 ** -149, belowOne: 2 ** -25 },
  float16: { aboveZero: 2 ** -24, belowOne: 2 ** -12 },
  bfloat16: { aboveZero: 2 ** -133, belowOne: 2 ** -9 },
};

/** `original` and `converted`: one number a class, in the form that `kind` and `convertedKind` say, as rounded to `type`. */
export function divergence(
  original: Float64Array,
  converted: Float64Array,
  kind: EndKind,
  type: ElementType,
  convertedKind: EndKind = kind,
): ImageDivergence {
  const precision = precisions[type];
  if (precision === undefined) throw new LowrankError('INTERNAL', `classes in numbers of type ${type}`);
  if ((kind === 'sigmoid') !== (convertedKind === 'sigmoid'))
    throw new LowrankError('INTERNAL', 'classes of two kinds');
  if (kind === 'sigmoid') return { kl: independent(original, converted, precision), isSameClass: null };
  const isSameClass = largest(original) === largest(converted);
  const [p, q] = [logarithms(original, kind), logarithms(converted, convertedKind)];
  return { kl: exclusive(p, q, Math.log(precision.aboveZero)), isSameClass };
}

function logarithms(values: Float64Array, kind: EndKind): Float64Array {
  return kind === 'softmax' ? logShares(values) : logSoftmax(values);
}

/** Σ p (ln p − ln q), from ln p and ln q. */
function exclusive(p: Float64Array, q: Float64Array, least: number): number {
  let sum = 0;
  for (let i = 0; i < p.length; i++) {
    const share = Math.exp(p[i]!);
    const other = q[i] === -Infinity ? least : q[i]!;
    if (share > 0) sum += share * (p[i]! - other);
    else if (Number.isNaN(share) || Number.isNaN(other)) return NaN;
  }
  // It is not negative, but for rounding.
  return Math.max(0, sum);
}

/** The mean of p ln(p/q) + (1 − p) ln((1 − p)/(1 − q)). */
function independent(p: Float64Array, q: Float64Array, { aboveZero, belowOne }: Precision): number {
  const part = (share: number, other: number, least: number): number =>
    share > 0 ? share * Math.log(share / Math.max(other, least)) : 0;
  let sum = 0;
  for (let i = 0; i < p.length; i++) {
    const [a, b] = [p[i]!, q[i]!];
    if (!(a >= 0 && a <= 1 && b >= 0 && b <= 1)) return NaN;
    sum += part(a, b, aboveZero) + part(1 - a, 1 - b, belowOne);
  }
  return Math.max(0, sum / p.length);
}

/** ln of the shares that the numbers have of their sum; −Infinity for 0. */
function logShares(values: Float64Array): Float64Array {
  let sum = 0;
  for (const value of values) sum += Math.max(0, value);
  if (sum === 0) return values.map(() => NaN);
  return values.map((value) => (value <= 0 ? -Infinity : Math.log(value / sum)));
}

function logSoftmax(values: Float64Array): Float64Array {
  let most = -Infinity;
  for (const value of values) most = Math.max(most, value);
  let sum = 0;
  for (const value of values) sum += Math.exp(value - most);
  const shift = most + Math.log(sum);
  return values.map((value) => value - shift);
}

/** The first of the largest. */
function largest(values: Float64Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}
