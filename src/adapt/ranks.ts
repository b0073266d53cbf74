import { LowrankError } from '../errors.js';
import { type AdaptedLayer, costAt, fullRank } from './layers.js';
import { type CoreSpectrum, rankWithin, tailsOf } from './spectrum.js';

/** What a whole model is counted in. */
export type SizeOf = 'params' | 'macs';

/** How large a model is to become. */
export interface SizeTarget {
  readonly of: SizeOf;
  /** Of the model with every adapted layer in one piece. */
  readonly whole: number;
  /** What no rank changes. */
  readonly fixed: number;
  /** What all is to be at the end, and was at the start. */
  readonly most: number;
  readonly start: number;
}

/** How ranks are chosen where layers are cut. */
export interface RankRule {
  /** Of ‖σ‖₂, what a cut may take; with a target, what that asks for counts in its place. */
  readonly tolerance: number;
  readonly minRank: number;
  mostOf(layer: AdaptedLayer): number;
  readonly target: SizeTarget | undefined;
}

/** Of a training, behind which a target is to be reached. */
const reachedAt = 0.5;

/** What the model may cost at a share of the training: from the start's size to the target's, by equal factors. */
function sizeAt({ start, most }: SizeTarget, share: number): number {
  const done = Math.min(1, share / reachedAt);
  return start <= most ? most : start * (most / start) ** done;
}

/** The size of a model at these ranks, as it is written. */
export function sizeOf(
  layers: readonly AdaptedLayer[],
  ranks: readonly number[],
  target: Pick<SizeTarget, 'of' | 'fixed'>,
): number {
  return layers.reduce((sum, layer, at) => sum + costAt(layer, ranks[at]!, target.of), target.fixed);
}

/**
 * The ranks that are left: with a tolerance θ, of each layer the smallest whose tail is at most θ ‖σ‖₂; with a target, those of the
 * smallest θ with which the model is small enough; never below `minRank`, nor above the most. `share` is that of the training that is
 * done.
 */
export function chooseRanks(
  layers: readonly AdaptedLayer[],
  spectra: readonly CoreSpectrum[],
  rule: RankRule,
  share: number,
): number[] {
  const tails = spectra.map(({ squares }) => tailsOf(squares));
  const ranksAt = (tolerance: number): number[] =>
    layers.map((layer, at) => {
      const { squares } = spectra[at]!;
      const most = Math.min(rule.mostOf(layer), squares.length);
      return Math.min(Math.max(rankWithin(tails[at]!, tolerance), Math.min(rule.minRank, fullRank(layer))), most);
    });
  const { target, tolerance } = rule;
  if (target === undefined) return ranksAt(tolerance);
  const allowed = sizeAt(target, share);
  const fits = (ranks: readonly number[]): boolean => sizeOf(layers, ranks, target) <= allowed;
  const uncut = ranksAt(0);
  if (fits(uncut)) return uncut;
  let [low, high] = [0, 1];
  for (let halving = 0; halving < 40; halving++) {
    const middle = (low + high) / 2;
    if (fits(ranksAt(middle))) high = middle;
    else low = middle;
  }
  return ranksAt(high);
}

/** Throws USAGE where the target is below what the smallest ranks leave. */
export function requireReachable(layers: readonly AdaptedLayer[], { minRank, target }: RankRule): void {
  if (target === undefined) return;
  const least = sizeOf(
    layers,
    layers.map((layer) => Math.min(minRank, fullRank(layer))),
    target,
  );
  if (least <= target.most) return;
  const share = Math.ceil((1000 * least) / target.whole) / 1000;
  const flag = target.of === 'params' ? '--target-params' : '--target-macs';
  throw new LowrankError('USAGE', `${flag} ${Number((target.most / target.whole).toPrecision(4))} cannot be reached`, {
    remedy: `the smallest possible here is ${share}; raise it, lower --min-rank, or adapt more layers (--no-keep-first, --no-keep-last)`,
  });
}

/** What a layer's tensors have room for. */
export interface Capacity {
  /** Of its rank between two cycles, and of its bases in the midst of one. */
  readonly rank: number;
  readonly bases: number;
}

/** Ranks up to which room is not rounded up to eights. */
const smallRank = 8;

/** Room for a rank, with some to grow. */
export function roomFor(layer: AdaptedLayer, rank: number): number {
  const rounded = rank <= smallRank ? Math.ceil(rank / 2) * 2 : Math.ceil(rank / 8) * 8;
  return Math.min(Math.max(2, rounded), Math.max(2, fullRank(layer)));
}

/** What room for a rank is in tensors. */
export function capacityOf(layer: AdaptedLayer, rank: number, isAugmented: boolean): Capacity {
  return { rank, bases: isAugmented ? Math.min(2 * rank, Math.max(layer.rows, layer.cols)) : rank };
}

/** Of what the graphs compute, how much less it must be for new ones to be worth it. */
const worthRebuilding = 0.7;

/** Whether graphs of other capacities are needed, or worth it. */
export function needsOthers(
  layers: readonly AdaptedLayer[],
  ranks: readonly number[],
  now: readonly Capacity[],
): boolean {
  const isTight = ranks.some((rank, at) => rank > now[at]!.rank);
  const cost = (ranksOf: (at: number) => number): number =>
    layers.reduce((sum, layer, at) => sum + ranksOf(at) * layer.perRank.macs, 0);
  const wanted = cost((at) => roomFor(layers[at]!, ranks[at]!));
  return isTight || wanted < worthRebuilding * cost((at) => now[at]!.rank);
}
