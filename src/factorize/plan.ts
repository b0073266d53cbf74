import { isConvolution } from '../rewrite/layers.js';
import { LowrankError } from '../errors.js';
import type { Scheme } from '../contracts/convert.js';
import type { Candidate } from './candidates.js';
import { type Geometry, largestRank, matrixShape, maxRank, schemesOf } from '../rewrite/geometry.js';
import { namesOf } from '../rewrite/layer-label.js';
import { planByBudget } from './plan-by-budget.js';
import { planByEnergy, planByStableRank, planByVbmf } from './plan-by-spectrum.js';
import { allowedSchemes, choose, factorMacsOf, toMultiple } from './plan-choice.js';
import type { Plan, PlanContext, Trial } from './plan-types.js';
import type { RankMode, RankSettings, TuckerRank } from './settings.js';

/** Chooses scheme and rank of every candidate. Throws USAGE for impossible ranks and budgets. */
export async function planRanks(candidates: readonly Candidate[], context: PlanContext): Promise<Plan[]> {
  const { rankMode } = context.settings;
  switch (rankMode.kind) {
    case 'scale':
      return candidates.map((candidate) => planByScale(candidate, rankMode, context.settings));
    case 'ranks':
      return planByNames(candidates, rankMode, context.settings);
    case 'energy':
      return planByEnergy(candidates, rankMode, context);
    case 'vbmf':
      return planByVbmf(candidates, rankMode, context);
    case 'stable-rank':
      return planByStableRank(candidates, rankMode, context);
    case 'budget':
      return planByBudget(candidates, rankMode, context);
    case 'keep':
      throw new LowrankError('INTERNAL', 'agreement is searched for, not planned');
    case 'accuracy':
      throw new LowrankError('USAGE', '--accuracy-budget needs labelled images to measure top-1 on', {
        remedy: 'give them with --val',
      });
  }
}

/** rank = max(1, round(scale · min(rows, cols))), or round(scale · out·kh) clamped to min(rows, cols) (Khodak et al.). */
function planByScale(candidate: Candidate, mode: Extract<RankMode, { kind: 'scale' }>, settings: RankSettings): Plan {
  const { geometry } = candidate.layer;
  const schemes = allowedSchemes(candidate, settings);
  const rankFor = (scheme: Scheme): number => {
    const { rows, cols } = matrixShape(geometry, scheme);
    const limit = Math.min(rows, cols);
    const base = mode.base === 'out' ? rows : limit;
    return toMultiple(Math.min(limit, Math.max(1, Math.round(mode.scale * base))), settings.rankMultiple, limit);
  };
  const trials = schemes.map((scheme): Trial => ({ scheme, rank: rankFor(scheme) }));
  const [first, ...others] = trials;
  if (first === undefined) return { candidate, trials: null, note: `no ${settings.scheme} scheme for this layer` };
  if (mode.scale < 1) {
    // Schemes that come later get the rank that costs as many MACs as the first, so that the errors compare.
    const macs = factorMacsOf(candidate, first);
    others.forEach(({ scheme }, at) => {
      const limit = maxRank(geometry, scheme);
      const equal = largestRank(limit, (rank) => factorMacsOf(candidate, { scheme, rank }) <= macs);
      trials[at + 1] = { scheme, rank: toMultiple(Math.max(1, equal), settings.rankMultiple, limit) };
    });
  }
  return choose(candidate, trials, settings, `rank scale ${mode.scale}`);
}

/** Throws USAGE for an impossible rank. */
function pairTrial(name: string, { geometry }: Candidate['layer'], scheme: Scheme, rank: number | TuckerRank): Trial {
  const limit = maxRank(geometry, scheme);
  if (isRank(rank, limit)) return { scheme, rank };
  throw impossible(name, rank, `give a whole number from 1 to ${limit}`);
}

/** Of one rank, as large a share of the input channels as of the outputs. Throws USAGE for impossible ranks. */
function tuckerTrial(name: string, geometry: Geometry, asked: number | TuckerRank): Trial {
  const [inputs, limit] = [geometry.in, maxRank(geometry, 'tucker')];
  const [inner, rank] =
    typeof asked === 'number' ? [Math.max(1, Math.ceil((inputs * asked) / geometry.out)), asked] : asked;
  const area = geometry.kernel[0] * geometry.kernel[1];
  if (isRank(rank, limit) && isRank(inner, inputs) && rank <= inner * area) return { scheme: 'tucker', inner, rank };
  throw impossible(
    name,
    asked,
    `give [in, out], in from 1 to ${inputs}, out from 1 to ${limit} and at most ${area} times in`,
  );
}

function isRank(rank: number | TuckerRank, limit: number): rank is number {
  return typeof rank === 'number' && Number.isInteger(rank) && rank >= 1 && rank <= limit;
}

function impossible(name: string, rank: number | TuckerRank, remedy: string): LowrankError {
  return new LowrankError('USAGE', `rank ${JSON.stringify(rank)} for layer '${name}' is impossible`, { remedy });
}

function planByNames(
  candidates: readonly Candidate[],
  mode: Extract<RankMode, { kind: 'ranks' }>,
  settings: RankSettings,
): Plan[] {
  const left = new Map(mode.ranks);
  const plans = candidates.map((candidate): Plan => {
    const own = new Set(candidate.layers.flatMap(namesOf).filter((each) => left.has(each)));
    const [name, second] = own;
    if (second !== undefined) {
      throw new LowrankError('USAGE', `--ranks names one weight twice, as '${name}' and as '${second}'`, {
        remedy: 'give it once',
      });
    }
    if (name === undefined) return { candidate, trials: null, note: 'not named in --ranks' };
    const wanted = left.get(name)!;
    left.delete(name);
    if (wanted === 'keep') return { candidate, trials: null, note: 'kept by --ranks' };
    const { layer } = candidate;
    const { rank: asked, scheme = allowedSchemes(candidate, settings)[0]! } =
      typeof wanted === 'number' ? { rank: wanted } : wanted;
    const possible = schemesOf(layer.geometry, !isConvolution(layer.form));
    if (!possible.includes(scheme)) {
      throw new LowrankError('USAGE', `--ranks gives layer '${name}' the scheme ${JSON.stringify(scheme)}`, {
        remedy: `it can have ${possible.join(' or ')}`,
      });
    }
    const trial =
      scheme === 'tucker' ? tuckerTrial(name, layer.geometry, asked) : pairTrial(name, layer, scheme, asked);
    const plan = choose(candidate, [trial], settings, 'rank from --ranks');
    return plan.trials === null || typeof wanted === 'number' ? plan : { ...plan, isExact: true };
  });
  const [unknown] = left.keys();
  if (unknown === undefined) return plans;
  throw new LowrankError('USAGE', `--ranks names '${unknown}', which is no layer that can be factorized`, {
    remedy: 'see `lowrank-inspect` for the names',
  });
}
