import { LowrankError, throwIfAborted } from '../errors.js';
import { type Candidate, type Selection, selectCandidates } from '../factorize/candidates.js';
import { latencySource, refuseHopeless } from '../factorize/convert.js';
import { emitFits } from '../factorize/emit-fits.js';
import { countMacs, countParameters } from '../factorize/count.js';
import { type DataFitContext, fitOnData } from '../factorize/calibration/fit-on-data.js';
import type { Calibrate } from '../factorize/calibration/types.js';
import { type Fit, type FitContext, fitPlans } from '../factorize/fit.js';
import { findLayers, type Layer } from '../factorize/layers.js';
import { planRanks } from '../factorize/plan.js';
import type { Plan } from '../factorize/plan-types.js';
import { prepareModel, summarize } from '../factorize/prepare.js';
import { reinitialize } from '../factorize/reinit.js';
import { stopwatch } from '../factorize/report-parts.js';
import { type ConvertSettings, describeSettings, resolveSettings } from '../factorize/settings.js';
import { inits as registry } from '../factorize/inits/index.js';
import type { InitName } from '../factorize/types.js';
import { checkModel } from '../graph/check.js';
import { modelBytes } from '../graph/write.js';
import { startEngine } from '../factorize/engine.js';
import type { Linalg } from '../linalg/types.js';
import type { CompareReport } from '../report/compare-contract.js';
import type { Calibration } from '../report/contract.js';
import type { Predictions } from '../report/eval-summary.js';
import { loadDriver } from '../runtime/driver.js';
import type { Driver, SessionOptions } from '../runtime/types.js';
import { tool } from '../version.js';
import { openValidationImages, type Validation } from './accuracy.js';
import { type LayerFit, type Outcome, summarizeInits } from './init-summary.js';
import { describeLayers, factorizedTotals } from './layers.js';
import { chooseInits, type CompareOptions, type ValidationOptions } from './settings.js';
import { type TheoremTerms, theoremTerms } from './theorem.js';

export type ComparePhase = 'read' | 'plan' | 'calibrate' | 'factorize' | 'evaluate';

export interface CompareProgress {
  readonly phase: ComparePhase;
  readonly done: number;
  readonly total: number;
  /** The initialization in work, or what else is. */
  readonly detail: string;
}

export interface CompareCall extends CompareOptions {
  /** For the report: what repeats the run. */
  readonly command?: string;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (progress: CompareProgress) => void;
}

/** The scheme of a layer with two is that which `convert` would choose by default. */
const judgeOfSchemes: InitName = 'lfai';
/** What the measured gap of the theorem is between. */
const theoremInits = ['spectral', 'lfai'] as const satisfies readonly InitName[];

/**
 * Fits the model at `input` with every initialization, each at the same schemes and ranks, and reports what each loses,
 * layer by layer: the error of the weights, that of the functions for x ~ N(0, I), and for ReLU layers the lower bound of
 * arXiv 2202.00834, Theorem 3.5, beside the measured gap between truncated SVD and lfai. With `validation` every converted
 * model is run on the same labelled images. Nothing is written.
 *
 * An initialization that cannot be fitted is reported with its failure beside the others. Throws what `convert` and
 * `evaluateModel` throw: USAGE, INPUT, FORMAT, EXTERNAL_DATA, GRAPH, UNSUPPORTED, NUMERIC (where all fail), DEVICE,
 * RUNTIME, ABORTED.
 */
export async function compare(input: string, call: CompareCall = {}): Promise<CompareReport> {
  const started = performance.now();
  const { inits: wanted, calibrate, validation: images, command, signal, onProgress, ...options } = call;
  const { inits, leftOut } = chooseInits(wanted, calibrate !== undefined);
  const settings = resolveSettings({ ...options, init: inits.find((init) => registry[init].isSampled) ?? inits[0]! });
  if (settings.reinit && images !== undefined) {
    throw new LowrankError('USAGE', '--reinit and --val contradict each other', {
      remedy: 'fresh weights have no accuracy to compare: leave one of them out',
    });
  }
  const lap = stopwatch();
  const seconds = { prepare: 0, fit: 0, evaluate: 0, total: 0 };
  const report = (phase: ComparePhase, done: number, total: number, detail: string): void => {
    throwIfAborted(signal);
    onProgress?.({ phase, done, total, detail });
  };

  report('read', 0, 1, input);
  const driver = await loadDriver();
  let linalg: Linalg | undefined;
  let validation: Validation | undefined;
  const subject = await openSubject(input, settings, driver);
  try {
    const { model, shapes, layers, selection } = subject;
    const summary = summarize(model, shapes, input);
    const before = { params: countParameters(model.graph), macs: countMacs(model.graph, shapes) };
    if (images !== undefined) {
      validation = await openValidationImages(images, {
        path: input,
        seed: settings.seed,
        device: settings.device,
        threads: settings.threads,
        driver,
        signal,
        onProgress: (done, total) => report('evaluate', done, total, 'original'),
      });
      seconds.evaluate += lap();
    }
    const engine = await startEngine({ ...settings, driver });
    linalg = engine.linalg;
    const session: SessionOptions = {
      device: settings.device,
      ...(settings.threads > 0 ? { threads: settings.threads } : {}),
    };
    const fitting = {
      linalg,
      seed: settings.seed,
      sampled: { settings: settings.fit, driver, session, tensorFlow: engine.tensorFlow },
      signal,
    };
    const isByLatency = settings.rankMode.kind === 'budget' && settings.rankMode.of === 'latency';
    const latency = isByLatency
      ? await latencySource(driver, model, shapes, settings.reinit ? modelBytes(model) : input, settings, signal)
      : undefined;
    const planned = await planRanks(selection.candidates, {
      settings,
      linalg,
      totals: before,
      ...(latency === undefined ? {} : { latency }),
      onProgress: (done, total, detail) => report('plan', done, total, detail),
      signal,
    });
    const plans = await settleSchemes(planned, {
      ...fitting,
      onProgress: (done, total, detail) => report('plan', done, total, detail),
    });
    seconds.prepare = lap();

    const outcomes = new Map<InitName, Outcome>();
    const terms = new Map<Candidate, TheoremTerms>();
    let first: Predictions | undefined;
    let calibration: Calibration | undefined;
    const isRelu = ({ candidate }: Plan): boolean => candidate.activation.kind === 'Relu';
    // The theorem's two are fitted to ReLU layers even where they are not compared.
    const extra = theoremInits.filter((init) => !inits.includes(init));
    for (const init of [...inits, ...extra]) {
      const own = inits.includes(init) ? plans : plans.filter(isRelu);
      const outcome = await attempt(() =>
        fitWith(own, inits.includes(init) ? calibrate : undefined, {
          ...fitting,
          init,
          path: input,
          model,
          driver,
          session,
          biasCorrection: settings.biasCorrection,
          onProgress: (done, total, detail) => report('factorize', done, total, `${init}, ${detail}`),
          onImages: (done, total, detail) => report('calibrate', done, total, `${init}, ${detail}`),
        }),
      );
      const fits = outcome.fits ?? [];
      const fitSeconds = lap();
      seconds.fit += fitSeconds;
      calibration ??= outcome.calibration;
      if (init === 'spectral') {
        for (const fit of fits) terms.set(fit.candidate, await theoremTerms(fit, linalg));
        seconds.fit += lap();
      }
      let result: Outcome = {
        failure: outcome.failure,
        fits: fits.map(withoutPair),
        // What is only measured on images is no part of the fit.
        seconds: fitSeconds - (registry[init].needs === undefined ? (outcome.calibration?.seconds ?? 0) : 0),
        warnings: outcome.warnings ?? [],
      };
      if (validation !== undefined && outcome.fits !== undefined && inits.includes(init)) {
        const judged = await judge(input, init, fits, { settings, driver, validation, subject, report, first });
        first ??= judged.predictions;
        result = { ...result, ...judged.result, warnings: [...result.warnings, ...judged.warnings] };
        seconds.evaluate += lap();
      }
      outcomes.set(init, result);
    }
    const compared = inits.map((init) => ({ init, outcome: outcomes.get(init)! }));
    refuseIfAllFailed(compared.map(({ outcome }) => outcome));
    const described = describeLayers({ layers, selection, plans, outcomes, inits, terms });
    const after = factorizedTotals(before, described);
    seconds.total = (performance.now() - started) / 1000;
    return {
      schema: 'lowrank.compare/1',
      tool,
      ...(command === undefined ? {} : { command }),
      seed: settings.seed,
      model: summary,
      settings: describeCompareSettings(settings, inits, calibration, images, validation),
      engine: engine.report,
      inits: summarizeInits(compared),
      leftOut,
      layers: described,
      totals: after,
      ...(calibration === undefined ? {} : { calibration }),
      validation: validation?.report ?? null,
      warnings: [
        ...subject.warnings,
        ...engine.warnings,
        ...(validation?.warnings ?? []),
        // Most of them do not depend on the initialization.
        ...new Set(compared.flatMap(({ outcome }) => outcome.warnings)),
        ...(plans.every(({ trials }) => trials === null)
          ? ['no layer would be factorized: there is nothing to compare']
          : []),
      ],
      seconds,
    };
  } finally {
    await validation?.close();
    await linalg?.close();
    subject.model.file?.close();
  }
}

type Subject = Awaited<ReturnType<typeof prepareModel>> & {
  readonly layers: readonly Layer[];
  readonly selection: Selection;
};

/** The model with its layers, read anew: what a conversion starts from. The caller closes `model.file`. */
async function openSubject(input: string, settings: ConvertSettings, driver: Driver): Promise<Subject> {
  const prepared = await prepareModel(input, {
    inputShapes: settings.inputShapes,
    driver: () => Promise.resolve(driver),
  });
  const { model, shapes, warnings } = prepared;
  try {
    refuseHopeless(model, findLayers(model.graph, shapes));
    if (settings.reinit) reinitialize(model, findLayers(model.graph, shapes), settings.seed);
    const layers = findLayers(model.graph, shapes);
    const selection = selectCandidates(model, layers, settings);
    return { ...prepared, layers, selection, warnings: [...warnings, ...selection.warnings] };
  } catch (error) {
    model.file?.close();
    throw error;
  }
}

/** Where two schemes are planned, the one with the smaller function error under `judgeOfSchemes`: one for all. */
async function settleSchemes(plans: readonly Plan[], context: Omit<FitContext, 'init'>): Promise<Plan[]> {
  const open = plans.filter(({ trials }) => trials !== null && trials.length > 1);
  const fits = await fitPlans(open, { ...context, init: judgeOfSchemes });
  const chosen = new Map(fits.map(({ candidate, scheme, rank }) => [candidate, { scheme, rank }]));
  return plans.map((plan) => {
    const trial = chosen.get(plan.candidate);
    return trial === undefined ? plan : { ...plan, trials: [trial] };
  });
}

/** Failures that belong to an initialization or a layer, and not to the whole run. */
const failures = new Set(['NUMERIC', 'UNSUPPORTED']);

interface Attempt {
  readonly fits?: readonly Fit[];
  readonly calibration?: Calibration | undefined;
  readonly warnings?: readonly string[];
  readonly failure: LowrankError | null;
}

async function attempt(work: () => Promise<Omit<Attempt, 'failure'>>): Promise<Attempt> {
  try {
    return { ...(await work()), failure: null };
  } catch (error) {
    if (error instanceof LowrankError && failures.has(error.code)) return { failure: error };
    throw error;
  }
}

async function fitWith(
  plans: readonly Plan[],
  calibrate: Calibrate | undefined,
  context: DataFitContext,
): Promise<Omit<Attempt, 'failure'>> {
  const { fits, report, warnings } =
    calibrate === undefined
      ? { fits: await fitPlans(plans, context), report: undefined, warnings: [] }
      : await fitOnData(plans, calibrate, context);
  return { fits, calibration: report, warnings: [...warnings, ...fits.flatMap((fit) => fit.warnings ?? [])] };
}

function refuseIfAllFailed(outcomes: readonly Outcome[]): void {
  const [first] = outcomes;
  if (first !== undefined && first.failure !== null && outcomes.every(({ failure }) => failure !== null)) {
    throw first.failure;
  }
}

/** Pairs of all initializations at once would be several models in memory. */
function withoutPair({ candidate, weightError, functionError, dataError, seconds }: Fit): LayerFit {
  return { candidate, weightError, functionError, dataError, seconds };
}

interface JudgeContext {
  readonly settings: ConvertSettings;
  readonly driver: Driver;
  readonly validation: Validation;
  readonly subject: Subject;
  readonly report: (phase: ComparePhase, done: number, total: number, detail: string) => void;
  /** Predictions of the first initialization, behind the first one. */
  readonly first: Predictions | undefined;
}

/** Converts the model in memory and runs it on the images. */
async function judge(
  input: string,
  init: InitName,
  fits: readonly Fit[],
  { settings, driver, validation, subject, report, first }: JudgeContext,
): Promise<{
  readonly predictions: Predictions | undefined;
  readonly result: Partial<Outcome>;
  readonly warnings: readonly string[];
}> {
  const fresh = await openSubject(input, settings, driver);
  let bytes: Uint8Array;
  try {
    const places = new Map(subject.selection.candidates.map((candidate, index) => [candidate, index]));
    const own = fits.map((fit) => ({ ...fit, candidate: fresh.selection.candidates[places.get(fit.candidate)!]! }));
    emitFits(fresh.model, own, init);
    checkModel(fresh.model);
    bytes = modelBytes(fresh.model);
  } finally {
    fresh.model.file?.close();
  }
  try {
    const predictions = await validation.judge(init, bytes, (done, total) => report('evaluate', done, total, init));
    return { predictions, result: validation.summarize(predictions, first), warnings: [] };
  } catch (error) {
    if (!(error instanceof LowrankError) || error.code !== 'NUMERIC') throw error;
    return { predictions: undefined, result: {}, warnings: [error.message] };
  }
}

/** Every option with its value, by the names of the command line. */
function describeCompareSettings(
  settings: ConvertSettings,
  inits: readonly InitName[],
  calibration: Calibration | undefined,
  images: ValidationOptions | undefined,
  validation: Validation | undefined,
): Record<string, unknown> {
  const {
    init: _init,
    verify: _verify,
    measureLatency: _latency,
    force: _force,
    ...shared
  } = describeSettings(settings);
  const { seed: _seed, device: _device, threads: _threads, ...evaluation } = validation?.settings ?? {};
  return {
    inits,
    ...shared,
    calibrate: calibration?.data ?? null,
    calibrateImages: calibration?.images ?? null,
    val: images?.data ?? null,
    classes: images?.classes ?? null,
    ...evaluation,
  };
}
