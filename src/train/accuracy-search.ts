import { LowrankError, throwIfAborted } from '../errors.js';
import { digestSource } from '../data/digest.js';
import { imageReads } from '../data/paths.js';
import { drawImages } from '../data/subset.js';
import type { ImageSource } from '../data/types.js';
import { type Picks, type Purpose, searchAccuracy } from '../factorize/accuracy-search.js';
import { reads, writes } from '../files/conflicts.js';
import { budgetOptions, type Option } from '../factorize/plan-by-budget.js';
import type { Plan } from '../factorize/plan-types.js';
import type { FoundRanks, RankSearchContext, SearchRanks } from '../factorize/rank-search.js';
import type { AccuracyBudget, AccuracyTrial } from '../report/contract.js';
import { comparePredictions } from '../report/eval-summary.js';
import { pointsIntervalText, pointsText } from '../report/eval-text.js';
import { formatPercent, plural } from '../report/format.js';
import { defaultEvalSettings, type EvalSettings } from './eval-settings.js';
import {
  defaultEvaluationFolder,
  type Evaluation,
  type EvaluationCache,
  modelDigest,
  openEvaluationCache,
} from './evaluation-cache.js';
import { checkImageSettings } from './image-settings.js';
import { openEvaluation } from './images.js';
import { openClassifier } from './classifier.js';
import { classesOfModel, type LabelledImages } from './labelled-images.js';
import { tryNormalizations, trialWarning } from './normalization-trial.js';
import { type ImagePreparation, inForce } from './preparation.js';
import { limitsOf } from '../limits.js';
import { runClassifier } from './run-classifier.js';
import { sessionOptionsOf } from '../runtime/threads.js';
import { tool } from '../version.js';

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

/** Groups of layers whose sensitivity is measured, each on so many images. */
const groups = 8;
const sampleImages = 1000;
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
  const { candidates, settings, totals } = context;
  const points = settings.rankMode.kind === 'accuracy' ? settings.rankMode.points : 0;
  // Differences of top-1 are multiples of 1/n: what is added is less than any of them.
  const largestDrop = points / 100 + 1e-12;
  const warnings: string[] = [...source.warnings];
  const warn = (line: string): void => void warnings.push(line);
  const cache = openEvaluationCache(folder ?? defaultEvaluationFolder(), warn);
  context.onProgress(0, 1, 'reading the images');
  const preparation = await preparationOf(context, asked);
  const evaluation = inForce(asked, preparation.report);
  const judge = await createJudge(context, source, cache, { evaluation, preparation, warn });
  const most = 1 + (context.curves === undefined ? Math.min(groups, candidates.length) : 0) + evaluations + 1;
  let done = 0;
  const step = (detail: string): void => context.onProgress(done++, most, detail);

  step('the original');
  const [original, onSample] = [await judge(context.path, 'search'), await judge(context.path, 'sensitivity')];
  if (original === undefined || onSample === undefined) {
    throw new LowrankError('NUMERIC', "the model's outputs are not finite", {
      place: context.path,
      remedy: 'check the model, and that --normalization is that of its training',
    });
  }
  const options: readonly (readonly Option[])[] = await budgetOptions(candidates, minimize, {
    ...context,
    onProgress: () => throwIfAborted(context.signal),
  });
  const arePriced = context.curves !== undefined;
  const trials: AccuracyTrial[] = [];
  const picksOf = new Map<Picks, number>();
  const planOf = (picks: Picks, note: (kept: boolean) => string): Plan[] =>
    candidates.map((candidate, index) => {
      const { trial } = options[index]![picks[index]!]!;
      return trial === null
        ? { candidate, trials: null, note: options[index]!.length === 1 ? 'no rank saves anything' : note(true) }
        : { candidate, trials: [trial], note: note(false) };
    });
  const measure = async (picks: Picks, purpose: Purpose): Promise<{ drop: number; lossIncrease: number }> => {
    const begun = performance.now();
    const plans = planOf(picks, () => '');
    const converted = plans.filter((plan) => plan.trials !== null).length;
    step(`${purpose === 'search' ? 'all' : 'some'} images, ${converted} of ${plans.length} layers converted`);
    const reference = purpose === 'search' ? original : onSample;
    const trial = await context.tryPlans(plans, async (path, report) => {
      const own = await judge(path, purpose);
      if (own === undefined) return undefined;
      const compared = compare(reference, own);
      return {
        purpose,
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
    if (trial === undefined) {
      warn(
        `a conversion of ${plural(converted, 'layer')} gave outputs that are not finite: it counts as beyond the budget`,
      );
      return { drop: Infinity, lossIncrease: largestLoss };
    }
    picksOf.set(picks, trials.push(trial) - 1);
    return { drop: trial.drop, lossIncrease: trial.lossIncrease };
  };
  const cost = options.reduce((sum, [keep]) => sum + keep!.cost, 0);
  const found = await searchAccuracy({
    layers: options,
    arePriced,
    fixedCost: totals[minimize] - cost,
    largestDrop,
    evaluations,
    groups,
    measure,
  });
  if (found.best === undefined) throw outOfReach(points, trials, totals.macs);
  const chosen = picksOf.get(found.best)!;
  return {
    plans: planOf(found.best, (isKept) =>
      isKept ? `accuracy budget ${points} is better spent elsewhere` : `accuracy budget ${points}`,
    ),
    confirm: async (path) => {
      // The same bytes as before, as a rule, and so in the cache; a device that sums in another order each time is measured anew.
      const own = await judge(path, 'search');
      const compared = own === undefined ? undefined : compare(original, own);
      if (own === undefined || compared === undefined || compared.drop > largestDrop) {
        throw new LowrankError('VERIFY', `converted once more, the model is beyond the accuracy budget of ${points}`, {
          remedy: 'set --threads 1 and --device cpu, with which conversions repeat exactly; nothing was written',
        });
      }
      const best: AccuracyTrial = { ...trials[chosen]!, ...compared, sha256: own.sha256 };
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
        seconds: (performance.now() - started) / 1000,
      };
      return { report, warnings: isResolved ? warnings : [...warnings, unresolved(best, points)] };
    },
  };
}

interface Judged extends Evaluation {
  readonly top1: number;
  readonly isCached: boolean;
  /** Of the model. */
  readonly sha256: string;
}

interface JudgeOptions {
  readonly evaluation: EvalSettings;
  /** Of the original: every conversion is shown the same images. */
  readonly preparation: ImagePreparation;
  readonly warn: (line: string) => void;
}

/** How the original is shown images. */
async function preparationOf(
  { path, driver, settings, signal }: RankSearchContext,
  images: EvalSettings,
): Promise<ImagePreparation> {
  const session = sessionOptionsOf(settings);
  const model = await openClassifier(path, { driver, session, images, signal });
  await model.close();
  return model.preparation;
}

/**
 * Evaluates model files on all images, or on a sample of them for a sensitivity, unless the cache knows the result; undefined
 * where outputs are not finite.
 */
async function createJudge(
  { path: original, driver, settings, signal }: RankSearchContext,
  source: ImageSource,
  cache: EvaluationCache,
  { evaluation, preparation, warn }: JudgeOptions,
): Promise<(path: string, purpose: Purpose) => Promise<Judged | undefined>> {
  const { device } = settings;
  const threads = settings.threads > 0 ? settings.threads : null;
  const sets = new Map<ImageSource, string>();
  const sample = source.length > sampleImages ? drawImages(source, sampleImages, { seed: 0, order: 'source' }) : source;
  for (const set of new Set([source, sample])) sets.set(set, await digestSource(set, { signal }));
  return async (path, purpose) => {
    const images = purpose === 'search' ? source : sample;
    const sha256 = modelDigest(path);
    const { split: _, limit: __, seed: ___, workers: ____, ...inputs } = evaluation;
    const key = {
      tool,
      onnxruntime: driver.version,
      model: sha256,
      images: sets.get(images),
      settings: { ...inputs, device, threads },
    };
    const evaluate = async (): Promise<Evaluation> => {
      const { predictions } = await runClassifier(path, images, { ...evaluation, device, threads }, driver, {
        limits: limitsOf(settings),
        preparation,
        signal,
        onPrepared: async (model) => {
          if (path !== original || purpose !== 'search') return;
          const trial = await tryNormalizations(model, source, evaluation, { signal });
          const warning = trial === undefined ? undefined : trialWarning(trial, path);
          if (warning !== undefined) warn(warning);
        },
        onProgress: () => throwIfAborted(signal),
      });
      const { labels, predicted, losses } = predictions;
      const loss = Array.from(losses).reduce((sum, value) => sum + value, 0) / losses.length;
      return { labels: Array.from(labels), predicted: Array.from(predicted), loss };
    };
    const answer = await cache.get(key, evaluate).catch((error: unknown) => {
      if (error instanceof LowrankError && error.code === 'NUMERIC') return undefined;
      throw error;
    });
    if (answer === undefined) return undefined;
    const { evaluation: found, isCached } = answer;
    const right = found.labels.filter((label, index) => found.predicted[index] === label).length;
    return { ...found, top1: right / found.labels.length, isCached, sha256 };
  };
}

function compare(original: Judged, own: Judged): Pick<AccuracyTrial, 'top1' | 'drop' | 'ci95' | 'lossIncrease'> {
  const { top1, difference, ci95 } = comparePredictions(original.labels, original.predicted, own.predicted);
  return { top1, drop: difference, ci95, lossIncrease: own.loss - original.loss };
}

/** How images became inputs: the options of `lowrank-eval` by name. */
function inputSettings(evaluation: EvalSettings): Readonly<Record<string, unknown>> {
  const { device: _device, threads: _threads, workers: _workers, ...settings } = evaluation;
  return settings;
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
