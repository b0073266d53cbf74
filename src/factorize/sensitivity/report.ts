import type { LayerSensitivity, Scheme } from '../../contracts/convert.js';
import type { Candidate } from '../candidates.js';
import type { Fit } from '../fit.js';
import { factorParams } from '../../rewrite/geometry.js';
import type { Layer } from '../../rewrite/layers.js';
import { factorMacsOf } from '../plan-choice.js';
import type { Plan } from '../plan-types.js';
import type { Curve, Curves } from './observe.js';

/** Ranks of a scheme that a report gives. */
const mostRanks = 12;

/** What the report says of a layer; undefined where it was not looked at, or stands with another that shares its weight. */
export function sensitivityOf(
  layer: Layer,
  plans: readonly Plan[],
  fits: readonly Fit[],
  curves: Curves,
): LayerSensitivity | undefined {
  const candidate = plans.find((plan) => plan.candidate.layer === layer)?.candidate;
  const own = candidate === undefined ? undefined : curves.get(candidate);
  if (candidate === undefined || own === undefined) return undefined;
  const fit = fits.find((each) => each.candidate === candidate);
  return {
    change: fit === undefined ? 0 : changeOf(fit, plans, own),
    curve: curvePoints(candidate, own),
  };
}

/** Of a scheme that was not looked at, what the pair in whose place it is would do. */
function changeOf(fit: Fit, plans: readonly Plan[], own: ReadonlyMap<Scheme, Curve>): number {
  const planned = plans.find(({ candidate }) => candidate === fit.candidate)?.trials?.[0];
  const { scheme, rank } = own.has(fit.scheme) || planned === undefined ? fit : planned;
  return own.get(scheme)?.changes[rank] ?? 0;
}

/** Some of the ranks of every scheme. */
export function curvePoints(candidate: Candidate, own: ReadonlyMap<Scheme, Curve>): LayerSensitivity['curve'] {
  return [...own].flatMap(([scheme, curve]) => pointsOf(candidate, scheme, curve));
}

function pointsOf(candidate: Candidate, scheme: Scheme, { losses, changes }: Curve): LayerSensitivity['curve'] {
  const most = losses.length - 1;
  const shares = Array.from({ length: mostRanks }, (_, index) => Math.round(most ** ((index + 1) / mostRanks)));
  const ranks = [...new Set(shares)].filter((rank) => rank >= 1);
  return ranks.map((rank) => ({
    scheme,
    rank,
    params: factorParams(candidate.layer.geometry, scheme, rank),
    macs: factorMacsOf(candidate, { scheme, rank }),
    loss: losses[rank]!,
    change: changes[rank]!,
  }));
}
