import type { AccuracyTrial } from '../contracts/accuracy-budget.js';
import type { Option } from '../factorize/plan-by-budget.js';
import type { Plan } from '../factorize/plan-types.js';
import type { InitName } from '../factorize/types.js';
import { trialText } from '../report/accuracy-text.js';
import { plural } from '../report/format.js';
import { compare, type Judge } from './accuracy-judge.js';
import type { Picks, Purpose } from './accuracy-search.js';
import type { Progress } from './call.js';
import type { RankSearchContext } from './rank-search.js';

type Judged = NonNullable<Awaited<ReturnType<Judge>>>;

export interface TrialsContext {
  readonly context: RankSearchContext;
  /** What can be done with each candidate. */
  readonly options: readonly (readonly Option[])[];
  readonly judge: Judge;
  /** The original on all images, and on the sample. */
  readonly original: Judged;
  readonly onSample: Judged;
  readonly points: number;
  readonly largestDrop: number;
  readonly warn: (line: string) => void;
  /** Seconds that are left at most, given those since the first trial began. */
  readonly left: (seconds: number) => number;
  readonly show: (doing: string, detail: string) => void;
  readonly onDone: () => void;
}

/** Conversions that were measured, in their order. */
export interface AccuracyTrials {
  readonly trials: readonly AccuracyTrial[];
  /** What was picked for each of them. */
  readonly picksOf: readonly Picks[];
  planOf(picks: Picks, note: (isKept: boolean) => string): Plan[];
  /** Converts and evaluates; undefined where the outputs are not finite. */
  measure(picks: Picks, purpose: Purpose, by: InitName): Promise<AccuracyTrial | undefined>;
}

export function accuracyTrials({
  context,
  options,
  judge,
  original,
  onSample,
  points,
  largestDrop,
  warn,
  left,
  show,
  onDone,
}: TrialsContext): AccuracyTrials {
  const { candidates, totals, signal } = context;
  const trials: AccuracyTrial[] = [];
  const picksOf: Picks[] = [];
  const planOf = (picks: Picks, note: (kept: boolean) => string): Plan[] =>
    candidates.map((candidate, index) => {
      const { trial } = options[index]![picks[index]!]!;
      return trial === null
        ? { candidate, trials: null, note: options[index]!.length === 1 ? 'no rank saves anything' : note(true) }
        : { candidate, trials: [trial], note: note(false) };
    });
  const searching = performance.now();
  const measure = async (picks: Picks, purpose: Purpose, by: InitName): Promise<AccuracyTrial | undefined> => {
    const begun = performance.now();
    const plans = planOf(picks, () => '');
    const converted = plans.filter((plan) => plan.trials !== null).length;
    const doing = `${purpose === 'search' ? 'all' : 'some'} images, ${converted} of ${plans.length} layers converted`;
    show(doing, '');
    const reference = purpose === 'search' ? original : onSample;
    const onProgress = ({ phase, detail }: Progress): void => show(doing, phase === 'read' ? '' : `${phase} ${detail}`);
    const trial = await context.tryPlans(plans, { init: by, onProgress }, async (path, report) => {
      const own = await judge(path, purpose, signal);
      if (own === undefined) return undefined;
      const compared = compare(reference, own);
      return {
        purpose,
        init: by,
        ranks: Object.fromEntries(
          plans.flatMap(({ candidate, trials: chosen }) =>
            chosen === null ? [] : [[candidate.layer.name, { rank: chosen[0].rank, scheme: chosen[0].scheme }]],
          ),
        ),
        params: report.totals.params.after,
        macs: report.totals.macs.after,
        images: own.predicted.length,
        ...compared,
        isWithinBudget: compared.drop <= largestDrop,
        isCached: own.isCached,
        sha256: own.sha256,
        seconds: (performance.now() - begun) / 1000,
      };
    });
    onDone();
    if (trial === undefined) {
      const fact = `a conversion of ${plural(converted, 'layer')} gave outputs that are not finite: it counts as beyond the budget`;
      warn(fact);
      context.onNote(fact);
      return undefined;
    }
    picksOf.push(picks);
    trials.push(trial);
    context.onNote(
      trialText(trial, {
        number: trials.length - 1,
        points,
        totals,
        secondsLeft: left((performance.now() - searching) / 1000),
      }),
    );
    if (purpose === 'search' && trial.isWithinBudget) context.onFound();
    return trial;
  };
  return { trials, picksOf, planOf, measure };
}
