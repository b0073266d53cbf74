import { mkdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { WithPaths } from '../files/conflicts.js';
import { temporaryName } from '../files/temporary.js';
import { unwritable } from '../files/write-file.js';
import type { AccuracyBudget } from '../contracts/accuracy-budget.js';
import type { ConvertReport } from '../contracts/convert.js';
import type { Driver } from '../runtime/types.js';
import type { Moments } from '../factorize/calibration/types.js';
import type { Candidate } from '../factorize/candidates.js';
import type { ConvertCall, Progress } from './call.js';
import { runConversion } from './pipeline.js';
import { type FitsOfSearch, rankOf } from '../factorize/known-fits.js';
import type { Plan, PlanContext } from '../factorize/plan-types.js';
import type { RunningSettings } from './settings.js';
import type { InitName } from '../factorize/types.js';

/** What `SearchRanks` works with. */
export interface RankSearchContext extends Pick<PlanContext, 'settings' | 'linalg' | 'totals' | 'signal' | 'curves'> {
  /** What was asked for to fit the pairs by. */
  readonly init: InitName;
  readonly running: RunningSettings;
  /** Of the file that is converted. */
  readonly path: string;
  readonly candidates: readonly Candidate[];
  readonly driver: Driver;
  /** Counts conversions that were evaluated; `total` is the most there can be. */
  readonly onProgress: (done: number, total: number, detail: string) => void;
  /** A line for people, that stays. */
  readonly onNote: (line: string) => void;
  /** To be called where there is something to write: from then on an interruption stops the search alone. */
  readonly onFound: () => void;
  /**
   * Converts with these plans, all else as it was asked for, and hands over the file and its report; then the file is removed.
   * Throws what `convert` does.
   */
  tryPlans<Result>(
    plans: readonly Plan[],
    how: TryOptions,
    use: (path: string, report: ConvertReport) => Promise<Result>,
  ): Promise<Result>;
}

export interface TryOptions {
  /** What the pairs are fitted by. */
  readonly init: InitName;
  readonly onProgress: (progress: Progress) => void;
}

export interface FoundRanks {
  readonly plans: readonly Plan[];
  /** What the pairs were fitted by where they were measured, and are to be fitted by. Default: what was asked for. */
  readonly init?: InitName;
  /** Looks at the file before it takes its name and says what came of the search; what it throws keeps it from being written. */
  confirm(path: string): Promise<{ readonly report: AccuracyBudget; readonly warnings: readonly string[] }>;
}

/** Chooses ranks by converting and measuring. Throws where no ranks do. */
export type SearchRanks = ((context: RankSearchContext) => Promise<FoundRanks>) & WithPaths;

/** `RankSearchContext.tryPlans`: a conversion of its own, in a folder beside the output. */
export async function tryPlans<Result>(
  plans: readonly Plan[],
  { input, output, call, moments, known }: TryCall,
  { init, onProgress }: TryOptions,
  use: (path: string, report: ConvertReport) => Promise<Result>,
): Promise<Result> {
  const { accuracyBudget: _, searchRanks: __, onProgress: ___, onSpectrum: ____, ...others } = call;
  const folder = temporaryName(output);
  try {
    mkdirSync(folder);
  } catch (error) {
    throw unwritable(output, error);
  }
  try {
    // The name is written into models with external data: with the output's own, the bytes are those of the output.
    const path = join(folder, basename(output));
    const ranks = Object.fromEntries(plans.map((plan) => [plan.candidate.layer.name, rankOf(plan)]));
    const report = await runConversion(
      input,
      { ...others, init, ranks, onProgress, output: path, verify: false, measureLatency: false },
      { moments, known },
    );
    return await use(path, report);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export interface TryCall {
  readonly input: string;
  /** Where the result of the search will go. */
  readonly output: string;
  readonly call: ConvertCall;
  /** Pairs of models that were tried. */
  readonly known: FitsOfSearch;
  /** What the images have told of the layers, by name. */
  readonly moments: ReadonlyMap<string, Moments>;
}
