import { LowrankError } from '../errors.js';
import type { MeasuredRule } from '../contracts/convert.js';
import { measuredChange } from './agreement.js';
import { type ImageContext, openImages, type OpenedImages } from '../factorize/calibration/open-images.js';
import type { Calibrate, Moments } from '../factorize/calibration/types.js';
import type { Candidate } from '../factorize/candidates.js';
import type { FitContext } from '../factorize/fit.js';
import type { FitsOfSearch } from '../factorize/known-fits.js';
import { searchKeep } from './keep-search.js';
import { type KeptOut, openKeptOut } from './kept-out.js';
import { budgetInForce, type BudgetOf, budgetOptions, costsOf } from '../factorize/plan-by-budget.js';
import { planRanks } from '../factorize/plan.js';
import type { Plan, PlanContext } from '../factorize/plan-types.js';
import { bestByRule } from './rank-rules.js';
import type { FoundRanks } from './rank-search.js';
import { type Curves, observeModel, type ObservedModel } from '../factorize/sensitivity/observe.js';
import {
  curveBudgets,
  type CurvePoint,
  isMeasuredBudget,
  measurePoint,
  tradeOff,
  type TradeOffContext,
  worthOf,
} from './trade-off.js';
import { type Finish, trialModel } from './trial-model.js';
import type { Chosen } from './choose-and-fit.js';

export interface ChooseContext {
  readonly images: ImageContext;
  /** Weights were drawn anew: there is no original to agree with. */
  readonly reinit: boolean;
  readonly biasCorrection: boolean;
  readonly planning: Omit<PlanContext, 'curves'>;
  readonly fitting: Omit<FitContext, 'knownFits'>;
  /** Pairs of models that were tried. */
  readonly known: FitsOfSearch;
  /** What is done to a model with pairs before it is written: also to those that are only measured. */
  readonly finish?: Finish | undefined;
  /** Whether budgets that are not chosen are measured too. */
  readonly isCurveMeasured: boolean;
  /** Chooses ranks for an accuracy budget. */
  readonly search:
    ((curves: Curves | undefined, moments: ReadonlyMap<string, Moments>) => Promise<FoundRanks>) | undefined;
  /** What an earlier look at the same images told of layers, by name; agreement is not measured then. */
  readonly trial?: { readonly moments: ReadonlyMap<string, Moments> } | undefined;
  readonly onSearch?: (done: number, total: number, detail: string) => void;
}

/** Ranks alone, with what images tell; the images stay open. */
export type ChosenRanks = Pick<
  Chosen,
  'plans' | 'rules' | 'searched' | 'observed' | 'keptOut' | 'rankMode' | 'tradeOff' | 'warnings' | 'close'
> & {
  readonly opened: OpenedImages;
  /** What the outputs are expected to change by; undefined where they were not looked at. */
  readonly predicted: number | undefined;
};

/** As `chooseAndFit`, without the fit. */
export async function chooseRanks(
  calibrate: Calibrate,
  candidates: readonly Candidate[],
  context: ChooseContext,
): Promise<ChosenRanks> {
  const { images, planning } = context;
  const { settings, totals, linalg } = planning;
  const warnings: string[] = [];
  const opened = await openImages(calibrate, images, 'fit');
  let keptOut: KeptOut | undefined;
  const close = async (): Promise<void> => {
    await opened.images.close();
    await keptOut?.close();
  };
  try {
    if (!context.reinit && context.trial === undefined)
      keptOut = await openKeptOut(calibrate, { ...images, macs: totals.macs }, warnings);
    const { kind } = settings.rankMode;
    const areCurvesNeeded = (kind === 'budget' || kind === 'keep' || kind === 'accuracy') && !context.reinit;
    const observed = areCurvesNeeded
      ? await observeModel(candidates, opened, {
          ...images,
          settings,
          biasCorrection: context.biasCorrection,
          linalg,
          macs: totals.macs,
        })
      : undefined;
    if (observed?.report.reason !== undefined) {
      warnings.push(
        `ranks were chosen by what each layer loses, not by what the outputs feel: ${observed.report.reason}`,
      );
    }
    warnings.push(...(observed?.warnings ?? []));
    const choice = await choose(candidates, { ...context, opened, observed, keptOut });
    return { ...choice, opened, observed, keptOut, warnings, close };
  } catch (error) {
    await close();
    throw error;
  }
}

interface Ready extends ChooseContext {
  readonly opened: OpenedImages;
  readonly observed: ObservedModel | undefined;
  readonly keptOut: KeptOut | undefined;
}

type Choice = Pick<ChosenRanks, 'plans' | 'rules' | 'searched' | 'rankMode' | 'tradeOff' | 'predicted'>;

async function choose(candidates: readonly Candidate[], ready: Ready): Promise<Choice> {
  const { planning, observed, keptOut, isCurveMeasured } = ready;
  const asked = planning.settings.rankMode;
  const none = { rules: [], searched: undefined, rankMode: asked, tradeOff: undefined, predicted: undefined };
  if (observed === undefined) return { ...none, plans: await planRanks(candidates, planning) };
  const { curves, report } = observed;
  if (asked.kind === 'accuracy') {
    const byName = [...observed.moments].map(([{ layer }, moments]) => [layer.name, moments] as const);
    const searched = await ready.search?.(curves, new Map(byName));
    return { ...none, searched, plans: searched?.plans ?? (await planRanks(candidates, planning)) };
  }
  const withCurves = { ...planning, curves };
  const of: BudgetOf = asked.kind === 'budget' ? asked.of : 'macs';
  const options = await budgetOptions(candidates, of, withCurves);
  const rankMode = asked.kind === 'budget' ? budgetInForce(asked, options, planning) : asked;
  const trade: TradeOffContext = { of, unit: report.unit, curves, planning: withCurves, options };
  const build = (plans: readonly Plan[]): Promise<Uint8Array> => buildTrial(plans, ready, observed);
  let points: readonly CurvePoint[];
  let plans: readonly Plan[];
  let rules: readonly MeasuredRule[] = [];
  if (rankMode.kind === 'keep') {
    if (keptOut === undefined) throw noneKeptOut();
    const { share } = rankMode;
    const found = await searchKeep(candidates, trade, {
      share,
      judge: keptOut.judge,
      build,
      ...(ready.onSearch === undefined ? {} : { onProgress: ready.onSearch }),
    });
    ({ points } = found);
    ({ plans } = found.chosen);
  } else {
    plans = await planRanks(candidates, { ...withCurves, options, settings: { ...planning.settings, rankMode } });
    if (rankMode.kind === 'budget' && keptOut !== undefined && !isCurveMeasured) {
      const { judge } = keptOut;
      const ruling = { mode: rankMode, trade, planning: withCurves, by: report.by, judge, build };
      ({ plans, rules } = await bestByRule(plans, candidates, { ...ruling, onProgress: ready.onSearch }));
    }
    points = curveBudgets(candidates, trade);
    if (isCurveMeasured && keptOut !== undefined) {
      const measured: CurvePoint[] = [];
      for (const [index, point] of points.entries()) {
        ready.onSearch?.(index, points.length, `${of} budget ${point.budget}`);
        const own = isMeasuredBudget(point.budget)
          ? await measurePoint(keptOut.judge, await build(point.plans), point.predicted, report.unit)
          : undefined;
        measured.push({ ...point, measured: own });
      }
      points = measured;
    }
  }
  const worth = worthOf(plans, curves, planning.totals);
  const budget = budgetOf(plans, options, of, withCurves, worth);
  return {
    plans,
    rules,
    searched: undefined,
    rankMode,
    predicted: worth.predicted,
    tradeOff: (agreement) => {
      const change = agreement === undefined ? undefined : measuredChange(agreement, report.unit);
      const measured =
        agreement === undefined || change === undefined
          ? undefined
          : {
              predicted: worth.predicted,
              change,
              agreement: agreement.top1?.share ?? null,
              images: agreement.images,
            };
      return tradeOff(of, report.unit, points, { budget, plans, ...worth, measured });
    },
  };
}

function noneKeptOut(): LowrankError {
  return new LowrankError('INPUT', '--keep measures agreement on images kept out of the fit, and there are none', {
    remedy: 'give more images with --calibrate',
  });
}

/** What plans, in the order of the candidates, cost, as a fraction of the original. */
function budgetOf(
  plans: readonly Plan[],
  options: TradeOffContext['options'],
  of: BudgetOf,
  planning: PlanContext,
  worth: ReturnType<typeof worthOf>,
): number {
  if (of !== 'latency') return worth[of];
  const { total, fixed } = costsOf(options, of, planning);
  const cost = plans.reduce((sum, { trials }, index) => {
    const isChosen = ({ trial }: (typeof options)[number][number]): boolean =>
      trials === null ? trial === null : trial?.rank === trials[0].rank && trial.scheme === trials[0].scheme;
    return sum + options[index]!.find(isChosen)!.cost;
  }, fixed);
  return cost / total;
}

function buildTrial(plans: readonly Plan[], ready: Ready, { moments }: ObservedModel): Promise<Uint8Array> {
  const { fitting, finish, images, opened, known, biasCorrection } = ready;
  return trialModel(plans, opened, { ...fitting, model: images.model, biasCorrection, moments, finish, known });
}
