import { LowrankError } from '../errors.js';
import type { Normalization } from '../data/normalize.js';
import { imageHints, normalizationName } from '../images/image-metadata.js';
import type { PreparedMatching } from '../step/prepare-matching.js';
import type { RecoverOptions } from './recover.js';

/**
 * Throws USAGE where the files of both models say how pictures are normalized, differently: one of the two then has it inside, or
 * takes other pictures, and would be fed what it was not made for. A normalization that is given is taken for both.
 */
export function requireSamePreparation(
  { model: own, teacher: other }: PreparedMatching,
  { model, teacher, settings = {} }: RecoverOptions,
): void {
  if (settings.normalization != null || settings.mean != null || settings.std != null) return;
  const [a, b] = [own, other.model].map(({ metadata }) => imageHints(metadata).normalization);
  if (a === undefined || b === undefined || isSame(a, b)) return;
  throw new LowrankError('USAGE', 'the files say that the model and its teacher take pictures normalized differently', {
    place: `${model}: ${describe(a)}; ${teacher}: ${describe(b)}`,
    remedy: 'give the model that it was converted from as --teacher, or say with --normalization what both take',
  });
}

function isSame(a: Normalization, b: Normalization): boolean {
  const near = (one: readonly number[], two: readonly number[]): boolean =>
    one.length === two.length && one.every((value, i) => Math.abs(value - two[i]!) < 1e-3);
  return near(a.mean, b.mean) && near(a.deviation, b.deviation);
}

function describe(normalization: Normalization): string {
  const { mean, deviation } = normalization;
  return normalizationName(normalization) ?? `mean ${mean.join(' ')}, deviation ${deviation.join(' ')}`;
}
