import { LowrankError } from '../errors.js';
import type { MeasuredRule, TradeOff } from '../contracts/convert.js';
import type { MeasuredAgreement } from './agreement.js';
import { type DataFits, fitOnData } from '../factorize/calibration/fit-on-data.js';
import type { Calibrate, Moments } from '../factorize/calibration/types.js';
import type { Candidate } from '../factorize/candidates.js';
import type { Model } from '../graph/model.js';
import { type Fit, type FitContext, fitPlans } from '../factorize/fit.js';
import { inits } from '../factorize/inits/index.js';
import { shareOf } from './keep-search.js';
import type { KeptOut } from './kept-out.js';
import { planRanks } from '../factorize/plan.js';
import type { Plan } from '../factorize/plan-types.js';
import { clearlyLess } from './rank-rules.js';
import type { FoundRanks } from './rank-search.js';
import type { RankMode } from '../factorize/settings.js';
import type { ObservedModel } from '../factorize/sensitivity/observe.js';
import { measurePoint } from './trade-off.js';
import { type Finish, modelWith } from './trial-model.js';
import type { InitName } from '../factorize/types.js';
import { type ChooseContext, type ChosenRanks, chooseRanks } from './choose-ranks.js';

/** Ranks and pairs, and all that was learned on the way. */
export interface Chosen {
  readonly plans: readonly Plan[];
  /** Ways to share out a budget that were measured whole; empty where none was. */
  readonly rules: readonly MeasuredRule[];
  readonly fits: readonly Fit[];
  readonly fitting: FitContext;
  readonly searched: FoundRanks | undefined;
  readonly calibrated: DataFits | undefined;
  readonly observed: ObservedModel | undefined;
  readonly keptOut: KeptOut | undefined;
  /** How ranks were chosen: a budget that nobody asked for as far as the layers bore it. */
  readonly rankMode: RankMode;
  /** The curve, given what the written model was measured to do. */
  readonly tradeOff: ((agreement: MeasuredAgreement | undefined) => TradeOff) | undefined;
  readonly warnings: readonly string[];
  /** Whether all this is of the other model that was given. */
  readonly isOther: boolean;
  close(): Promise<void>;
}

/** What computes the same and is converted where that changes the outputs less. */
export interface OtherModel {
  readonly candidates: readonly Candidate[];
  readonly model: Model;
  /** Those for whose sake it is tried. */
  readonly own: ReadonlySet<Candidate>;
}

/**
 * Chooses ranks and fits pairs: with images, by what the layers see and the outputs feel, looked at once for all. The graph is
 * not changed. Throws what planning, fitting and running images throw.
 */
export async function chooseAndFit(
  calibrate: Calibrate | undefined,
  candidates: readonly Candidate[],
  context: ChooseContext,
  other?: OtherModel,
): Promise<Chosen> {
  const { fitting, planning } = context;
  const { settings } = planning;
  if (calibrate === undefined) {
    const searched = settings.rankMode.kind === 'accuracy' ? await context.search?.(undefined, new Map()) : undefined;
    const plans = searched?.plans ?? (await planRanks(candidates, planning));
    const used = reusing(context, plans, searched?.init);
    const fits = await fitPlans(plans, used);
    const nothing = { calibrated: undefined, observed: undefined, keptOut: undefined, tradeOff: undefined };
    const { rankMode } = settings;
    return {
      plans,
      rules: [],
      fits,
      fitting: used,
      searched,
      rankMode,
      ...nothing,
      warnings: [],
      isOther: false,
      close: () => Promise.resolve(),
    };
  }
  const { opened, used, ...chosen } = await chooseEither(calibrate, candidates, context, other);
  try {
    const fitBy = async (
      by: FitContext,
    ): Promise<Pick<Chosen, 'fitting' | 'calibrated'> & { readonly calibrated: DataFits }> => ({
      fitting: by,
      calibrated: await fitOnData(chosen.plans, calibrate, {
        ...by,
        ...used.images,
        biasCorrection: context.biasCorrection,
        known: { opened, moments: chosen.observed?.moments ?? knownMoments(used.candidates, context.trial?.moments) },
      }),
    });
    const warnings = [...chosen.warnings];
    const init = chosen.searched?.init ?? fitting.init;
    let fitted = await fitBy(reusing(context, chosen.plans, init));
    const missed = await missedShare(fitted.calibrated.fits, { ...chosen, opened }, init, context.finish);
    if (missed !== undefined) {
      warnings.push(
        `fitted by whitened, as the models that --keep measured: by ${init}, ${percent(missed)} of the images kept out get the same class`,
      );
      fitted = await fitBy(reusing(context, chosen.plans, 'whitened'));
    }
    warnings.push(...fitted.calibrated.warnings);
    return { ...chosen, ...fitted, fits: fitted.calibrated.fits, warnings };
  } catch (error) {
    await chosen.close();
    throw error;
  }
}

type Either = ChosenRanks & {
  readonly isOther: boolean;
  readonly used: { readonly candidates: readonly Candidate[]; readonly images: ChooseContext['images'] };
};

/** Ranks of the model, or of the other one where the outputs are seen to change clearly less by what is its own. */
async function chooseEither(
  calibrate: Calibrate,
  candidates: readonly Candidate[],
  context: ChooseContext,
  other: OtherModel | undefined,
): Promise<Either> {
  const { images } = context;
  const first: Either = {
    ...(await chooseRanks(calibrate, candidates, context)),
    isOther: false,
    used: { candidates, images },
  };
  if (other === undefined || first.observed?.report.by !== 'gradients') return first;
  const used = { candidates: other.candidates, images: { ...images, model: other.model } };
  let second: Either;
  try {
    const ranks = await chooseRanks(calibrate, other.candidates, { ...context, images: used.images });
    second = { ...ranks, isOther: true, used };
  } catch (error) {
    // The model as it is was seen to do.
    if (error instanceof LowrankError && error.code !== 'ABORTED' && error.code !== 'INTERNAL') {
      return { ...first, warnings: [...first.warnings, `products of one input were not tried as one: ${error.fact}`] };
    }
    await first.close();
    throw error;
  }
  const isUsed = second.plans.some(({ candidate, trials }) => trials !== null && other.own.has(candidate));
  const [before, after] = changesOf(first, second);
  const [better, worse] = isUsed && after < clearlyLess * before ? [second, first] : [first, second];
  await worse.close();
  return better;
}

/** What the outputs change by: measured whole on images kept out of the fit, where both are, else predicted. */
function changesOf(...both: readonly [ChosenRanks, ChosenRanks]): readonly [number, number] {
  const measured = both.map(({ rules }) => rules.find(({ isChosen }) => isChosen)?.change);
  const [first, second] = measured;
  if (first !== undefined && second !== undefined) return [first, second];
  const [before, after] = both.map(({ predicted }) => predicted);
  return [before ?? 0, after ?? 0];
}

/** Fits by `init`, by default the one that was asked for, where they are not known from a search. */
function reusing({ fitting, known }: ChooseContext, plans: readonly Plan[], init = fitting.init): FitContext {
  return { ...fitting, init, knownFits: known.of(init, plans) };
}

/** What fits by another initialization than that of the models that were measured agree on, where it is less than was asked for. */
async function missedShare(
  fits: readonly Fit[],
  { rankMode, keptOut, observed, opened }: ChosenRanks,
  init: InitName,
  finish: Finish | undefined,
): Promise<number | undefined> {
  if (rankMode.kind !== 'keep' || keptOut === undefined || observed === undefined) return undefined;
  if (init === 'whitened' || inits[init].isWhole === true) return undefined;
  const model = await modelWith(fits, opened, finish);
  const measured = await measurePoint(keptOut.judge, model, 0, observed.report.unit);
  const share = measured === undefined ? 0 : shareOf(measured);
  return share < rankMode.share ? share : undefined;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function knownMoments(
  candidates: readonly Candidate[],
  moments: ReadonlyMap<string, Moments> | undefined,
): ReadonlyMap<Candidate, Moments> {
  return new Map(
    candidates.flatMap((candidate) => {
      const own = moments?.get(candidate.layer.name);
      return own === undefined ? [] : [[candidate, own] as const];
    }),
  );
}
