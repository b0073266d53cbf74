import { LowrankError, throwIfAborted } from '../errors.js';
import { imageReads } from '../data/paths.js';
import { drawImages } from '../data/subset.js';
import { searchAccuracy } from './accuracy-search.js';
import { reads, writes } from '../files/conflicts.js';
import { inits } from '../factorize/inits/index.js';
import { budgetOptions, type Option } from '../factorize/plan-by-budget.js';
import type { FoundRanks, RankSearchContext, SearchRanks } from './rank-search.js';
import type { InitName } from '../factorize/types.js';
import { searchText } from '../report/accuracy-text.js';
import { accuracyTrials } from './accuracy-trials.js';
import type { AccuracyBudget, AccuracyTrial } from '../contracts/accuracy-budget.js';
import { pointsIntervalText, pointsText } from '../report/eval-text.js';
import { formatPercent, plural } from '../report/format.js';
import { compareOnceMore, createJudge, judgeOriginal, preparationOf } from './accuracy-judge.js';
import { defaultEvalSettings, type EvalSettings } from '../evaluate/eval-settings.js';
import { defaultEvaluationFolder, openEvaluationCache } from '../evaluate/evaluation-cache.js';
import { checkImageSettings } from '../images/image-settings.js';
import { openEvaluation } from '../images/images.js';
import { classesOfModel, type LabelledImages } from '../images/labelled-images.js';
import { inForce } from '../images/preparation.js';

export interface AccuracySearchSettings {
  /** What the smallest model has least of. */
  readonly minimize: 'macs' | 'params';
  /** Conversions that may be evaluated on all images. */
  readonly evaluations: number;
  /** Folder of the evaluations; null: that of the user, `defaultEvaluationFolder`. */
  readonly cache: string | null;
  /** How the images are drawn and become inputs; device and threads are those of the conversion. */
  readonly evaluation: Partial<Omit<EvalSettings, 'device' | 'threads'>>;
}

export const defaultAccuracySearchSettings: AccuracySearchSettings = {
  minimize: 'macs',
  evaluations: 10,
  cache: null,
  evaluation: {},
};

/** Groups of layers whose sensitivity is measured. */
const groups = 8;
/** In nats: what outputs that are not finite count as. */
const largestLoss = 100;

/**
 * Finds the ranks of an accuracy budget by measuring top-1 on labelled images, whatever `openSource` opens: for `convert`.
 * Every evaluation is kept in the cache by content (the bytes of the model and of the images, the settings, the versions of
 * lowrank and onnxruntime), so that a run that was killed goes on with what it had finished. How it searches: see
 * `searchAccuracy`. Throws NUMERIC where no conversion that was measured is within the budget, OUTPUT where the cache cannot
 * be written, and what `evaluateModel` throws.
 */
export function accuracySearch(
  data: string,
  given: Partial<AccuracySearchSettings> & { readonly classes?: string | undefined } = {},
): SearchRanks {
  const settings: AccuracySearchSettings = { ...defaultAccuracySearchSettings, ...given };
  if (!Number.isSafeInteger(settings.evaluations) || settings.evaluations < 1) {
    throw new LowrankError('USAGE', `${settings.evaluations} evaluations make no search`, {
      remedy: 'give a whole number from 1 on',
    });
  }
  const evaluation: EvalSettings = { ...defaultEvalSettings, ...settings.evaluation };
  checkImageSettings(evaluation);
  const searchRanks: SearchRanks = async (context) => {
    const { split, limit, seed } = evaluation;
    const sources = { path: given.classes, model: classesOfModel(context.path) };
    const { source: whole, order } = await openEvaluation(data, split, sources);
    try {
      const source = limit === null ? whole : drawImages(whole, limit, { seed, order: 'source' });
      return await search(context, { source, order }, settings, evaluation);
    } finally {
      await whole.close();
    }
  };
  const { classes } = given;
  return Object.assign(searchRanks, {
    paths: [
      ...imageReads(data, 'the validation images', '--val'),
      ...(classes === undefined ? [] : [reads(classes, 'the class list', '--classes')]),
      writes(settings.cache ?? defaultEvaluationFolder(), 'the cache of evaluations', '--cache', 'shared'),
    ],
  });
}

async function search(
  context: RankSearchContext,
  { source, order }: LabelledImages,
  { minimize, evaluations, cache: folder }: AccuracySearchSettings,
  asked: EvalSettings,
): Promise<FoundRanks> {
  const started = performance.now();
  const { candidates, settings, totals, signal } = context;
  const points = settings.rankMode.kind === 'accuracy' ? settings.rankMode.points : 0;
  // Differences of top-1 are multiples of 1/n: what is added is less than any of them.
  const largestDrop = points / 100 + 1e-12;
  const warnings: string[] = [...source.warnings];
  const warn = (line: string): void => void warnings.push(line);
  const cache = openEvaluationCache(folder ?? defaultEvaluationFolder(), warn);
  const arePriced = context.curves !== undefined;
  // What fits layers one behind the other begins anew with each model: the fastest fit to images stands for it.
  const init: InitName = inits[context.init].needs === 'sequence' ? 'whitened' : context.init;
  const hasLast = init !== context.init;
  const most = (arePriced ? 0 : Math.min(groups, candidates.length)) + evaluations + (hasLast ? 1 : 0);
  let done = 0;
  let doing = 'reading the images';
  const show = (detail = ''): void => context.onProgress(done, 1 + most, detail === '' ? doing : `${doing}: ${detail}`);
  show();
  const preparation = await preparationOf(context, asked, source);
  const evaluation = inForce(asked, preparation.report);
  const judge = await createJudge(context, source, cache, {
    ...{ evaluation, preparation, warn },
    onImages: (seen, all) => show(`${seen} of ${plural(all, 'image')}`),
  });

  doing = 'the original';
  show();
  const { original, onSample, seconds } = await judgeOriginal(context, judge);
  done = 1;
  context.onNote(
    searchText({
      ...{ points, most, original, seconds: original.isCached ? undefined : seconds },
      last: hasLast ? context.init : undefined,
    }),
  );
  const options: readonly (readonly Option[])[] = await budgetOptions(candidates, minimize, {
    ...context,
    onProgress: () => throwIfAborted(signal),
  });
  const { trials, picksOf, planOf, measure } = accuracyTrials({
    ...{ context, options, original, onSample, judge, points, largestDrop, warn },
    left: (seconds) => (seconds / (done - 1)) * Math.max(0, 1 + most - done),
    show: (what, detail) => {
      doing = what;
      show(detail);
    },
    onDone: () => void done++,
  });
  const cost = options.reduce((sum, [keep]) => sum + keep!.cost, 0);
  const isInterruption = (): boolean => signal?.aborted === true;
  const found = await searchAccuracy({
    layers: options,
    arePriced,
    fixedCost: totals[minimize] - cost,
    largestDrop,
    evaluations,
    groups,
    measure: async (picks, purpose) =>
      (await measure(picks, purpose, init)) ?? { drop: Infinity, lossIncrease: largestLoss },
    isInterruption,
  }).catch((error: unknown) => {
    throw isInterruption() ? interruptedInVain(trials.length, cache.folder) : error;
  });
  let { isInterrupted } = found;
  let fittedBy = init;
  let chosen = trials.findIndex((_, index) => picksOf[index] === found.best);
  if (hasLast && !isInterrupted) {
    const by = context.init;
    const tried = candidateForLast(trials, minimize, largestDrop);
    try {
      const last = tried === undefined ? undefined : await measure(picksOf[tried]!, 'search', by);
      if (last?.isWithinBudget === true) [chosen, fittedBy] = [trials.length - 1, by];
      else if (chosen >= 0) warn(fittedOtherwise(last, { points, by, init }));
    } catch (error) {
      if (!isInterruption()) throw error;
      if (chosen < 0) throw interruptedInVain(trials.length, cache.folder);
      isInterrupted = true;
    }
  }
  if (chosen < 0) throw outOfReach(points, trials, totals.macs);
  if (isInterrupted) warn(interruptedText(trials, most));
  return {
    plans: planOf(picksOf[chosen]!, (isKept) =>
      isKept ? `accuracy budget ${points} is better spent elsewhere` : `accuracy budget ${points}`,
    ),
    init: fittedBy,
    confirm: async (path) => {
      const { compared, sha256 } = await compareOnceMore(path, original, judge, { points, largestDrop });
      const best: AccuracyTrial = { ...trials[chosen]!, ...compared, sha256 };
      const isResolved = best.ci95[1] <= largestDrop;
      const report: AccuracyBudget = {
        points,
        minimize,
        data: source.path,
        images: original.predicted.length,
        settings: inputSettings(evaluation),
        preparation: { ...preparation.report, classes: order },
        cache: cache.folder,
        original: { top1: original.top1, loss: original.loss, isCached: original.isCached },
        sensitivities: found.sensitivities.map((sensitivity) =>
          Object.assign({}, sensitivity, { layers: sensitivity.layers.map((index) => candidates[index]!.layer.name) }),
        ),
        trials: trials.with(chosen, best),
        chosen,
        isResolved,
        isInterrupted,
        seconds: (performance.now() - started) / 1000,
      };
      return { report, warnings: isResolved ? warnings : [...warnings, unresolved(best, points)] };
    },
  };
}

/** How images became inputs: the options of `lowrank-eval` by name. */
function inputSettings(evaluation: EvalSettings): Readonly<Record<string, unknown>> {
  const { device: _device, threads: _threads, workers: _workers, ...settings } = evaluation;
  return settings;
}

/** What `lfai-data` loses of what `whitened` does, in ResNet-20 and ResNet-8: 0.47 to 0.89. */
const lastShare = 3 / 4;

/** The smallest candidate that a better fit may bring within the budget, else the one that loses least. */
function candidateForLast(
  trials: readonly AccuracyTrial[],
  minimize: 'macs' | 'params',
  largestDrop: number,
): number | undefined {
  const candidates = [...trials.entries()].filter(([, { purpose }]) => purpose === 'search');
  const hopeful = candidates.filter(([, { drop }]) => lastShare * drop <= largestDrop);
  const [first] =
    hopeful.length > 0
      ? hopeful.sort(([, a], [, b]) => a[minimize] - b[minimize])
      : candidates.sort(([, a], [, b]) => a.drop - b.drop);
  return first?.[0];
}

function fittedOtherwise(
  last: AccuracyTrial | undefined,
  { points, by, init }: { readonly points: number; readonly by: InitName; readonly init: InitName },
): string {
  const why =
    last === undefined ? 'its outputs are not finite' : `it loses ${pointsText(last.drop)} points of ${points}`;
  return `fitted by ${init}, as the models that were measured: by ${by}, ${why}`;
}

function interruptedText(trials: readonly AccuracyTrial[], most: number): string {
  const tried = trials.filter(({ isCached }) => !isCached).length;
  return `interrupted after ${trials.length} of at most ${plural(most, 'trial')}: the best so far was written; the same command with --force goes on behind the ${plural(tried, 'evaluation')} of this one`;
}

function interruptedInVain(trials: number, folder: string): LowrankError {
  return new LowrankError(
    'ABORTED',
    `interrupted after ${plural(trials, 'trial')}, before one was within the accuracy budget`,
    { place: folder, remedy: 'repeat the command, which goes on with the evaluations there; nothing was written' },
  );
}

function unresolved({ drop, ci95, images }: AccuracyTrial, points: number): string {
  const measured = `${plural(images, 'image')} do not resolve the accuracy budget of ${points} points`;
  const interval = `measured ${pointsText(drop)}, 95 % interval ${pointsIntervalText(ci95)}`;
  return `${measured}: the drop is ${interval}; more images in --val narrow it`;
}

function outOfReach(points: number, trials: readonly AccuracyTrial[], macs: number): LowrankError {
  const asked = trials.filter(({ purpose }) => purpose === 'search');
  const [first, ...others] = asked;
  if (first === undefined) {
    return new LowrankError('UNSUPPORTED', 'no rank of any layer saves anything: there is nothing to search', {
      remedy: 'factorize more layers (--no-keep-first, --no-keep-last)',
    });
  }
  const mildest = others.reduce((least, trial) => (trial.drop < least.drop ? trial : least), first);
  const found = `the least that ${plural(asked.length, 'conversion')} lost is ${pointsText(mildest.drop)} points, at ${formatPercent(mildest.macs / macs)} of the MACs`;
  return new LowrankError(
    'NUMERIC',
    `no conversion within the accuracy budget of ${points} points was found: ${found}`,
    {
      remedy: 'raise the budget, add --recalibrate, or convert and fine-tune; nothing was written',
    },
  );
}
