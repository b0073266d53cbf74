import { isConvolution } from '../rewrite/layers.js';
import type { Scheme } from '../contracts/convert.js';
import type { Candidate } from './candidates.js';
import { schemes as schemeRules } from '../rewrite/schemes/index.js';
import { breakEvenRank, factorMacs, factorParams, fullMacs, schemesOf, weightCount } from '../rewrite/geometry.js';
import type { Plan, Trial } from './plan-types.js';
import type { SchemeSettings } from './settings.js';

/** Whether one rank says all of a scheme. */
function isPair(scheme: Scheme): boolean {
  return schemeRules[scheme].factors.length === 2;
}

/** Schemes of two factors that the settings allow for a candidate: those of three come in where pairs are fitted (`tuckerTrials`). */
export function allowedSchemes(candidate: Candidate, settings: SchemeSettings): readonly Scheme[] {
  const { layer } = candidate;
  const schemes = schemesOf(layer.geometry, !isConvolution(layer.form)).filter(isPair);
  if (settings.scheme === 'auto' || !isPair(settings.scheme) || schemes.length === 1) return schemes;
  return schemes.filter((scheme) => scheme === settings.scheme);
}

/** MACs of all layers of a candidate, as they are and as factors. */
export function macsOf(candidate: Candidate): number {
  return candidate.layers.reduce((sum, { geometry }) => sum + fullMacs(geometry), 0);
}

export function factorMacsOf(candidate: Candidate, { scheme, rank, inner }: Trial): number {
  return candidate.layers.reduce((sum, { geometry }) => sum + factorMacs(geometry, scheme, rank, inner), 0);
}

export function factorParamsOf({ layer }: Candidate, { scheme, rank, inner }: Trial): number {
  return factorParams(layer.geometry, scheme, rank, inner);
}

/** Why a pair of this rank would not be a gain; undefined where it is one. */
export function refusal(
  candidate: Candidate,
  trial: Trial,
  settings: Pick<SchemeSettings, 'allowBigger'>,
): string | undefined {
  if (settings.allowBigger) return undefined;
  const { geometry } = candidate.layer;
  const { scheme, rank, inner } = trial;
  const params = factorParamsOf(candidate, trial) / weightCount(geometry);
  const macs = factorMacsOf(candidate, trial) / macsOf(candidate);
  if (params < 1 && macs < 1) return undefined;
  const breakEven = breakEvenRank(geometry, scheme);
  const worse = params >= macs ? `${params.toFixed(2)}× the parameters` : `${macs.toFixed(2)}× the MACs`;
  const limit = breakEven === 0 ? 'no rank saves anything' : `ranks up to ${breakEven} save`;
  const of = inner === undefined ? `pair of rank ${rank}` : `layer of ranks ${inner}, ${rank}`;
  return `a ${scheme} ${of} would have ${worse}; ${limit}`;
}

/** Rounded to a multiple, at least one multiple, at most the full rank. */
export function toMultiple(rank: number, multiple: number, limit: number): number {
  return Math.max(1, Math.min(limit, Math.max(multiple, Math.round(rank / multiple) * multiple)));
}

/** Keeps the trials that are a gain; the candidate, with the first refusal as its reason, where none is. */
export function choose(candidate: Candidate, trials: readonly Trial[], settings: SchemeSettings, note: string): Plan {
  const [first, ...others] = trials.filter((trial) => refusal(candidate, trial, settings) === undefined);
  if (first !== undefined) return { candidate, trials: [first, ...others], note };
  return { candidate, trials: null, note: refusal(candidate, trials[0]!, settings)! };
}
