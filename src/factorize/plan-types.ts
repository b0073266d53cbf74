import type { Linalg } from '../linalg/types.js';
import type { Scheme } from '../contracts/convert.js';
import type { Candidate } from './candidates.js';
import type { Option } from './plan-by-budget.js';
import type { Curves } from './sensitivity/observe.js';
import type { RankSettings } from './settings.js';

/** A pair to try on a layer. */
export interface Trial {
  readonly scheme: Scheme;
  readonly rank: number;
  /** Of three factors: channels behind the first; default: the rank. */
  readonly inner?: number | undefined;
}

/** What to do with a candidate: try these pairs and take the one with the smallest function error, or keep it. */
export type Plan =
  | {
      readonly candidate: Candidate;
      readonly trials: readonly [Trial, ...Trial[]];
      readonly note: string;
      /** The scheme was asked for. */
      readonly isExact?: boolean;
    }
  | { readonly candidate: Candidate; readonly trials: null; readonly note: string };

export interface PlanContext {
  readonly settings: RankSettings;
  readonly linalg: Linalg;
  /** Of the whole original model. */
  readonly totals: { readonly params: number; readonly macs: number };
  /** What images tell of every rank; without it, the lost fraction of ‖W‖²_F counts. */
  readonly curves?: Curves | undefined;
  /** What can be done with each candidate under a budget, where that is known; default: it is found. */
  readonly options?: readonly (readonly Option[])[] | undefined;
  /** Milliseconds of the whole model and of a candidate's variants; needed by a latency budget. */
  readonly latency?: LatencySource;
  readonly onProgress?: (done: number, total: number, detail: string) => void;
  readonly signal?: AbortSignal | undefined;
}

export interface LatencySource {
  readonly totalMs: number;
  /** Of all layers of the candidate together; the first entry is the layer as it is. */
  measure(candidate: Candidate, trials: readonly Trial[]): Promise<number[]>;
}
