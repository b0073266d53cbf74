import { inWords, LowrankError, throwIfAborted } from '../errors.js';
import { hasMoments } from '../factorize/calibration/moments.js';
import { observeSamples } from '../factorize/calibration/observe-samples.js';
import { countMacs, countParameters } from '../rewrite/count.js';
import { startEngine } from '../factorize/engine.js';
import { type FitContext, fitPlans } from '../factorize/fit.js';
import { inits as registry } from '../factorize/inits/index.js';
import { latencySource } from '../convert/latency-source.js';
import type { Plan } from '../factorize/plan-types.js';
import { planRanks } from '../factorize/plan.js';
import { summarize } from '../rewrite/prepare.js';
import { stopwatch } from '../rewrite/report-parts.js';
import { type ConvertSettings, describeSettings, resolveSettings } from '../convert/settings.js';
import type { InitName } from '../factorize/types.js';
import { modelBytes } from '../graph/write.js';
import type { Linalg } from '../linalg/types.js';
import type { CompareReport } from '../contracts/compare.js';
import type { Calibration } from '../contracts/images.js';
import { defaultRecoverSettings } from '../recover/settings.js';
import { loadDriver } from '../runtime/driver.js';
import { limitsOf } from '../limits.js';
import { sessionOptionsOf } from '../runtime/threads.js';
import { tool } from '../version.js';
import { openValidationImages, type Validation } from './accuracy.js';
import { tryAll } from './try-inits.js';
import { type Outcome, summarizeInits } from './init-summary.js';
import { describeLayers, factorizedTotals } from './layers.js';
import { chooseInits, type CompareOptions, type RecoverTrial, type ValidationOptions } from './settings.js';
import { openSubject } from './subject.js';
import { isLatencyBudget } from '../factorize/settings.js';

export type ComparePhase = 'read' | 'plan' | 'calibrate' | 'factorize' | 'evaluate' | 'recover';

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
  const { inits: wanted, calibrate, validation: images, recover, command, signal, onProgress, ...options } = call;
  const { inits, leftOut } = chooseInits(wanted, calibrate !== undefined);
  const settings = resolveSettings({ ...options, init: inits.find((init) => registry[init].isSampled) ?? inits[0]! });
  if (settings.reinit && (images !== undefined || recover !== undefined)) {
    const flag = images === undefined ? '--recover' : '--val';
    throw new LowrankError('USAGE', `--reinit and ${flag} contradict each other`, {
      remedy: 'fresh weights have no accuracy to compare: leave one of them out',
    });
  }
  const lap = stopwatch();
  const seconds = { prepare: 0, fit: 0, evaluate: 0, recover: 0, total: 0 };
  const report = (phase: ComparePhase, done: number, total: number, detail: string): void => {
    throwIfAborted(signal);
    onProgress?.({ phase, done, total, detail });
  };

  report('read', 0, 1, input);
  const driver = await loadDriver();
  let linalg: Linalg | undefined;
  let validation: Validation | undefined;
  const isByLatency = isLatencyBudget(settings.ranks.rankMode);
  const isRun = images !== undefined || calibrate !== undefined || isByLatency;
  const subject = await openSubject(input, settings, driver, { isRun, signal });
  try {
    const { model, shapes, layers, selection } = subject;
    const summary = summarize(model, shapes, input);
    const before = { params: countParameters(model.graph), macs: countMacs(model.graph, shapes) };
    if (images !== undefined) {
      validation = await openValidationImages(images, {
        path: input,
        seed: settings.seed,
        device: settings.running.device,
        threads: settings.running.threads,
        limits: limitsOf(settings.running),
        driver,
        signal,
        onProgress: (done, total) => report('evaluate', done, total, 'original'),
      });
      seconds.evaluate += lap();
    }
    const engine = await startEngine({ ...settings.running, driver });
    linalg = engine.linalg;
    const session = sessionOptionsOf(settings.running);
    const fitting = { linalg, seed: settings.seed, driver, session, tensorFlow: engine.tensorFlow, signal };
    const latency = isByLatency
      ? await latencySource(driver, subject, settings.reinit ? modelBytes(model) : input, settings, signal)
      : undefined;
    const planned = await planRanks(selection.candidates, {
      settings: settings.ranks,
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
    const samples =
      calibrate === undefined
        ? undefined
        : await observeSamples(
            plans.flatMap(({ candidate, trials }) => (trials === null || !hasMoments(candidate) ? [] : [candidate])),
            calibrate,
            {
              ...fitting,
              path: input,
              model,
              onImages: (done, total, detail) => report('calibrate', done, total, detail),
            },
          );
    seconds.prepare = lap();

    const tried = await tryAll(plans, inits, {
      ...fitting,
      ...{ input, subject, settings, options, calibrate, samples, validation, recover, report, lap, seconds },
    });
    const { outcomes, terms, calibration, recovery } = tried;
    const compared = inits.map((init) => ({ init, outcome: outcomes.get(init)! }));
    refuseIfAllFailed(compared.map(({ outcome }) => outcome));
    const described = describeLayers({ layers, selection, plans, outcomes, inits, terms });
    const after = factorizedTotals(before, described);
    seconds.total = (performance.now() - started) / 1000;
    return inWords<CompareReport>({
      schema: 'lowrank.compare/1',
      tool,
      ...(command === undefined ? {} : { command }),
      seed: settings.seed,
      model: summary,
      settings: describeCompareSettings(settings, inits, calibration, images, validation, recover),
      engine: engine.report,
      inits: summarizeInits(compared),
      leftOut,
      layers: described,
      totals: after,
      ...(calibration === undefined ? {} : { calibration }),
      validation: validation?.report ?? null,
      ...(recovery === undefined ? {} : { recovery }),
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
      seconds: recover === undefined ? withoutRecovery(seconds) : seconds,
    });
  } finally {
    await validation?.close();
    await linalg?.close();
    subject.model.file?.close();
  }
}

function withoutRecovery({ recover: _recover, ...seconds }: CompareReport['seconds']): CompareReport['seconds'] {
  return seconds;
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

function refuseIfAllFailed(outcomes: readonly Outcome[]): void {
  const [first] = outcomes;
  if (first !== undefined && first.failure !== null && outcomes.every(({ failure }) => failure !== null)) {
    throw first.failure;
  }
}

/** Every option with its value, by the names of the command line. */
function describeCompareSettings(
  settings: ConvertSettings,
  inits: readonly InitName[],
  calibration: Calibration | undefined,
  images: ValidationOptions | undefined,
  validation: Validation | undefined,
  recover: RecoverTrial | undefined,
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
    recover: recover?.data ?? null,
    recoverSteps: recover === undefined ? null : (recover.settings?.steps ?? defaultRecoverSettings.steps),
  };
}
