import type { Matrix } from '../linalg/types.js';
import { isConvolution } from '../rewrite/layers.js';
import { schemesOf } from '../rewrite/geometry.js';
import type { Moments } from './calibration/types.js';
import type { Candidate } from './candidates.js';
import { factorMacsOf, factorParamsOf } from './plan-choice.js';
import type { Plan, Trial } from './plan-types.js';
import { isLatencyBudget, type RankSettings } from './settings.js';
import { bestRanks, type TuckerModes, tuckerModes } from './tucker.js';

/** Whether Tucker pairs are tried beside those of two factors, or in their place. */
export interface TuckerSettings {
  readonly use: 'also' | 'only';
  /** Ranks are multiples of it. */
  readonly rankMultiple: number;
}

/**
 * The Tucker pair that has no more parameters and no more MACs than the first trial of a plan, with the error of its truncated
 * higher-order SVD; undefined where a layer can have none so small, and where the plan says the scheme.
 */
export async function tuckerTrial(
  { candidate, trials, isExact }: Extract<Plan, { trials: readonly unknown[] }>,
  { rankMultiple }: TuckerSettings,
  modes: () => Promise<TuckerModes>,
): Promise<(Trial & { readonly loss: number }) | undefined> {
  if (isExact === true || !canBeTucker(candidate)) return undefined;
  const [macs, params] = [factorMacsOf(candidate, trials[0]), factorParamsOf(candidate, trials[0])];
  const ranks = await bestRanks(await modes(), rankMultiple, (own) => {
    const trial: Trial = { scheme: 'tucker', ...own };
    return factorMacsOf(candidate, trial) <= macs && factorParamsOf(candidate, trial) <= params;
  });
  return ranks === undefined ? undefined : { scheme: 'tucker', ...ranks };
}

/** The modes of a candidate's weight, found once; whitened by `moments`, where the initialization fits what the layer sees. */
export function modesOf(
  { layer }: Candidate,
  weight: () => Matrix,
  { linalg, signal }: Pick<TuckerModes, 'linalg'> & { readonly signal?: AbortSignal | undefined },
  moments: Moments | undefined,
): () => Promise<TuckerModes> {
  let found: Promise<TuckerModes> | undefined;
  return () => {
    const [kh, kw] = layer.geometry.kernel;
    found ??= tuckerModes({ weight: weight(), linalg, signal }, kh * kw, moments);
    return found;
  };
}

function canBeTucker({ layer }: Candidate): boolean {
  return schemesOf(layer.geometry, !isConvolution(layer.form)).includes('tucker');
}

/** Whether Tucker pairs are tried: not in the place of pairs that were measured, or searched for with images. */
export function tuckerOf({ scheme, rankMode, rankMultiple }: RankSettings): TuckerSettings | undefined {
  if (scheme === 'tucker') return { use: 'only', rankMultiple };
  const isPairOnly = rankMode.kind === 'accuracy' || isLatencyBudget(rankMode);
  return scheme === 'auto' && !isPairOnly ? { use: 'also', rankMultiple } : undefined;
}
