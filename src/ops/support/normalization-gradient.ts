import type { Value } from '../../graph/value.js';
import type { Emitter } from '../emitter.js';
import { reciprocalDeviation } from './batch-norm-gradient.js';

/** x̂ = (x − mean)·rstd over some axes, or x·rstd where nothing is subtracted (root mean square). */
export interface Normalized {
  readonly xhat: Value;
  readonly rstd: Value;
  readonly axes: readonly number[];
  readonly isCentered: boolean;
}

/** Normalizes over `axes`; `mean` and `rstd`, where they are given, are not computed again. */
export function normalize(
  e: Emitter,
  x: Value,
  axes: readonly number[],
  epsilon: number,
  options: { readonly isCentered: boolean; readonly mean?: Value | undefined; readonly rstd?: Value | undefined },
): Normalized {
  const { isCentered } = options;
  const centered = isCentered ? e.sub(x, options.mean ?? e.reduceMean(x, axes)) : x;
  const rstd = options.rstd ?? reciprocalDeviation(e, e.reduceMean(e.mul(centered, centered), axes), epsilon);
  return { xhat: e.mul(centered, rstd), rstd, axes, isCentered };
}

/** dx from the gradient g of x̂: rstd·(g − mean(g) − x̂·mean(g·x̂)); without mean(g) where x̂ is not centered. */
export function normalizedGradient(e: Emitter, { xhat, rstd, axes, isCentered }: Normalized, g: Value): Value {
  const along = e.mul(xhat, e.reduceMean(e.mul(g, xhat), axes));
  const across = isCentered ? e.add(e.reduceMean(g, axes), along) : along;
  return e.mul(rstd, e.sub(g, across));
}
