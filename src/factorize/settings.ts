import type { ConvolutionScheme, Scheme } from '../contracts/convert.js';

/** How the rank of each layer is chosen; one of them. */
export type RankMode =
  | { readonly kind: 'scale'; readonly scale: number; readonly base: 'min' | 'out' }
  | { readonly kind: 'ranks'; readonly ranks: ReadonlyMap<string, LayerRank> }
  | { readonly kind: 'energy'; readonly fraction: number }
  | { readonly kind: 'vbmf'; readonly floor: number }
  | { readonly kind: 'stable-rank'; readonly factor: number; readonly floor: number }
  | {
      readonly kind: 'budget';
      readonly of: 'params' | 'macs' | 'latency';
      readonly fraction: number;
      /** Nobody asked for it: it gives way where the layers cannot bear it. */
      readonly isDefault?: boolean;
    }
  | { readonly kind: 'keep'; readonly share: number }
  | { readonly kind: 'accuracy'; readonly points: number };

/** [behind the first factor, before the last], of the scheme `tucker`. */
export type TuckerRank = readonly [inner: number, rank: number];

/** What `--ranks` says of a layer; without a scheme, the first that `--scheme` allows. */
export type LayerRank = number | 'keep' | { readonly rank: number | TuckerRank; readonly scheme: Scheme };

/** Which layers are factorized. */
export interface SelectionSettings {
  /** Only layers that match one of these globs; none: all. */
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  /** Also the factors of pairs that others made. */
  readonly factorizePairs: boolean;
  readonly keepFirst: boolean;
  readonly keepLast: boolean;
}

/** Which pairs a layer may become. */
export interface SchemeSettings {
  /** `auto`: per layer, the scheme with the smaller error at equal MACs. */
  readonly scheme: 'auto' | ConvolutionScheme;
  /** Also pairs that save nothing. */
  readonly allowBigger: boolean;
}

/** How ranks are chosen. */
export interface RankSettings extends SchemeSettings {
  readonly rankMode: RankMode;
  /** Ranks are rounded to multiples of this. */
  readonly rankMultiple: number;
  /** Least rank that a budget gives a layer; null: a thirty-second of the full rank, or 1 where images tell. */
  readonly minRank: number | null;
}

/** Whether ranks are to meet a time. */
export function isLatencyBudget(mode: RankMode): mode is Extract<RankMode, { kind: 'budget' }> {
  return mode.kind === 'budget' && mode.of === 'latency';
}
