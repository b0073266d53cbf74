import { LowrankError } from '../errors.js';
import type { Engine } from '../factorize/engine.js';
import type { Moments } from '../factorize/calibration/types.js';
import type { FitsOfSearch } from '../factorize/known-fits.js';
import type { LatencySource } from '../factorize/plan-types.js';
import type { Curves } from '../factorize/sensitivity/observe.js';
import { tuckerOf } from '../factorize/tucker-trials.js';
import { show } from './call.js';
import { chooseAndFit, type Chosen, type OtherModel } from './choose-and-fit.js';
import type { ChooseContext } from './choose-ranks.js';
import { finishing } from './finishing.js';
import type { Used } from './joined.js';
import type { Opened, Original } from './open.js';
import { withoutImages } from './open.js';
import type { FoundRanks, RankSearchContext } from './rank-search.js';

/** What a search is given of the conversion that it is for. */
export type SearchContext = Omit<RankSearchContext, 'tryPlans' | 'onFound' | 'onNote' | 'onProgress' | 'signal'> & {
  readonly moments: ReadonlyMap<string, Moments>;
};

/** What a conversion has beside what was asked for. */
export interface Within {
  /** Pairs of models that were tried before. */
  readonly known: FitsOfSearch;
  /** What the images have told of the layers, by name, where this is a trial of a search. */
  readonly moments?: ReadonlyMap<string, Moments>;
  /** Chooses the ranks of an accuracy budget. */
  readonly search?: (context: SearchContext) => Promise<FoundRanks>;
}

/** Chooses ranks and fits the pairs, of the model or of `joined`; once more without images where those that nobody asked for are of no use. */
export async function choose(
  { opened, original }: Pick<Used, 'opened' | 'original'>,
  tools: { readonly engine: Engine; readonly latency: LatencySource | undefined },
  within: Within,
  joined: Used | undefined,
): Promise<Chosen> {
  try {
    return await chooseOnce(opened, original, tools, within, joined);
  } catch (error) {
    const { calibrate, settings } = opened.asked;
    const isNeeded = calibrate?.isOptional !== true || settings.ranks.rankMode.kind === 'keep';
    if (isNeeded || !isOfImages(error)) throw error;
    withoutImages(opened.asked, error.place === undefined ? error.fact : `${error.fact} (${error.place})`);
    return chooseOnce(opened, original, tools, within);
  }
}

async function chooseOnce(
  { asked, model, driver: getDriver }: Opened,
  { selection, totals, session }: Original,
  { engine, latency }: { readonly engine: Engine; readonly latency: LatencySource | undefined },
  { known, moments: trial, search }: Within,
  joined?: Used,
): Promise<Chosen> {
  const { input, call, settings, calibrate } = asked;
  const { signal } = call;
  const { linalg, tensorFlow } = engine;
  const driver = await getDriver();
  const other: OtherModel | undefined = joined && {
    candidates: joined.original.selection.candidates,
    model: joined.opened.model,
    own: new Set(joined.joined.map(({ candidate }) => candidate)),
  };
  const context: ChooseContext = {
    images: {
      path: input,
      model,
      driver,
      session,
      seed: settings.seed,
      onImages: (done, total, detail) => show(call, 'calibrate', done, total, detail),
      signal,
    },
    reinit: settings.reinit,
    biasCorrection: settings.fitting.biasCorrection,
    planning: {
      settings: settings.ranks,
      linalg,
      totals,
      signal,
      ...(latency === undefined ? {} : { latency }),
      onProgress: (done, total, detail) => show(call, 'plan', done, total, detail),
    },
    fitting: {
      linalg,
      init: settings.fitting.init,
      seed: settings.seed,
      balance: settings.fitting.balance,
      tucker: tuckerOf(settings.ranks),
      sampled: { settings: settings.fitting.sampled, driver, session, tensorFlow },
      onProgress: (done, total, detail) => show(call, 'factorize', done, total, detail),
      onSpectrum: call.onSpectrum,
      signal,
    },
    trial: trial === undefined ? undefined : { moments: trial },
    known,
    finish: finishing(call, { path: input, driver, session, inputs: settings.inputs }),
    isCurveMeasured: false,
    onSearch: (done, total, detail) => show(call, 'search', done, total, detail),
    search:
      search === undefined
        ? undefined
        : (curves: Curves | undefined, moments) =>
            search({
              settings: settings.ranks,
              init: settings.fitting.init,
              running: settings.running,
              linalg,
              totals,
              curves,
              moments,
              path: input,
              candidates: selection.candidates,
              driver,
            }),
  };
  return chooseAndFit(calibrate, selection.candidates, context, other);
}

/** What can go wrong with images that nobody asked for, and leaves the conversion possible. */
function isOfImages(error: unknown): error is LowrankError {
  const codes: readonly string[] = ['NUMERIC', 'UNSUPPORTED', 'SHAPE', 'INPUT', 'GRAPH', 'RUNTIME'];
  return error instanceof LowrankError && codes.includes(error.code);
}
