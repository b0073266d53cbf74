import type { MeasuredRule, TradeOff } from '../contracts/convert.js';
import type { MeasuredAgreement } from './agreement.js';
import { type DataFits, fitOnData } from '../factorize/calibration/fit-on-data.js';
import type { Calibrate, Moments } from '../factorize/calibration/types.js';
import type { Candidate } from '../factorize/candidates.js';
import { type Fit, type FitContext, fitPlans } from '../factorize/fit.js';
import { inits } from '../factorize/inits/index.js';
import { shareOf } from './keep-search.js';
import type { KeptOut } from './kept-out.js';
import { planRanks } from '../factorize/plan.js';
import type { Plan } from '../factorize/plan-types.js';
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
  close(): Promise<void>;
}

/**
 * Chooses ranks and fits pairs: with images, by what the layers see and the outputs feel, looked at once for all. The graph is
 * not changed. Throws what planning, fitting and running images throw.
 */
export async function chooseAndFit(
  calibrate: Calibrate | undefined,
  candidates: readonly Candidate[],
  context: ChooseContext,
): Promise<Chosen> {
  const { fitting, planning, images } = context;
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
      close: () => Promise.resolve(),
    };
  }
  const { opened, ...chosen } = await chooseRanks(calibrate, candidates, context);
  try {
    const fitBy = async (
      used: FitContext,
    ): Promise<Pick<Chosen, 'fitting' | 'calibrated'> & { readonly calibrated: DataFits }> => ({
      fitting: used,
      calibrated: await fitOnData(chosen.plans, calibrate, {
        ...used,
        ...images,
        biasCorrection: context.biasCorrection,
        known: { opened, moments: chosen.observed?.moments ?? knownMoments(candidates, context.trial?.moments) },
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
