import { mkdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { WithPaths } from '../files/conflicts.js';
import { temporaryName } from '../files/temporary.js';
import { unwritable } from '../onnx/write-file.js';
import type { AccuracyBudget, ConvertReport } from '../report/contract.js';
import type { Driver } from '../runtime/types.js';
import type { Moments } from './calibration/types.js';
import type { Candidate } from './candidates.js';
import type { ConvertCall } from './convert.js';
import type { Plan, PlanContext } from './plan-types.js';
import type { LayerRank } from './settings.js';

/** What `SearchRanks` works with. */
export interface RankSearchContext extends Pick<PlanContext, 'settings' | 'linalg' | 'totals' | 'signal' | 'curves'> {
  /** Of the file that is converted. */
  readonly path: string;
  readonly candidates: readonly Candidate[];
  readonly driver: Driver;
  /** Counts conversions that were evaluated; `total` is the most there can be. */
  readonly onProgress: (done: number, total: number, detail: string) => void;
  /** Converts with these plans, all else as it was asked for, and hands over the file and its report; then the file is removed. */
  tryPlans<Result>(
    plans: readonly Plan[],
    use: (path: string, report: ConvertReport) => Promise<Result>,
  ): Promise<Result>;
}

export interface FoundRanks {
  readonly plans: readonly Plan[];
  /** Looks at the file before it takes its name and says what came of the search; what it throws keeps it from being written. */
  confirm(path: string): Promise<{ readonly report: AccuracyBudget; readonly warnings: readonly string[] }>;
}

/** Chooses ranks by converting and measuring. Throws where no ranks do. */
export type SearchRanks = ((context: RankSearchContext) => Promise<FoundRanks>) & WithPaths;

/** `RankSearchContext.tryPlans` by means of `convert`, in a folder beside the output. */
export async function tryPlans<Result>(
  plans: readonly Plan[],
  { input, output, call, moments, convert }: TryCall,
  use: (path: string, report: ConvertReport) => Promise<Result>,
): Promise<Result> {
  const { accuracyBudget: _, searchRanks: __, onProgress: ___, onSpectrum: ____, ...others } = call;
  const trial = { moments };
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
    const report = await convert(input, {
      ...others,
      ranks,
      output: path,
      verify: false,
      measureLatency: false,
      trial,
    });
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
  /** What the images have told of the layers, by name. */
  readonly moments: ReadonlyMap<string, Moments>;
  readonly convert: (input: string, call: ConvertCall) => Promise<ConvertReport>;
}

/** What `--ranks` would say for a plan. */
export function rankOf({ trials }: Plan): LayerRank {
  return trials === null ? 'keep' : { rank: trials[0].rank, scheme: trials[0].scheme };
}
