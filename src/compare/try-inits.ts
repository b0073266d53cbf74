import { LowrankError } from '../errors.js';
import type { Candidate } from '../factorize/candidates.js';
import { emitFits } from '../factorize/emit-fits.js';
import { type Fit } from '../factorize/fit.js';
import type { Plan } from '../factorize/plan-types.js';
import type { InitName } from '../factorize/types.js';
import { checkModel } from '../graph/check.js';
import { modelBytes } from '../graph/write.js';
import type { Calibration } from '../contracts/images.js';
import type { Predictions } from '../evaluate/eval-summary.js';
import { type Validation } from './accuracy.js';
import { type InitFitContext, type JudgedFit, tryInit } from './fit-init.js';
import { type LayerFit, type Outcome } from './init-summary.js';
import { openSubject, transferred } from './subject.js';
import { type TheoremTerms, theoremTerms } from './theorem.js';
import type { ComparePhase } from './compare.js';
import { recoverConverted, type RecoveredInit } from './recovery.js';
import type { RecoverTrial } from './settings.js';

/** What the measured gap of the theorem is between. */
const theoremInits = ['spectral', 'lfai'] as const satisfies readonly InitName[];

type Shared = Pick<
  InitFitContext,
  'linalg' | 'seed' | 'driver' | 'session' | 'tensorFlow' | 'signal' | 'subject' | 'settings' | 'calibrate' | 'samples'
>;

interface Trying extends Shared {
  readonly input: string;
  readonly options: InitFitContext['fitOptions'];
  readonly validation: Validation | undefined;
  readonly recover: RecoverTrial | undefined;
  readonly report: (phase: ComparePhase, done: number, total: number, detail: string) => void;
  readonly lap: () => number;
  readonly seconds: { fit: number; evaluate: number; recover: number };
}

/** Fits and judges every initialization, and those of the theorem where they are not among them. */
export async function tryAll(
  plans: readonly Plan[],
  inits: readonly InitName[],
  {
    input,
    subject,
    settings,
    options,
    calibrate,
    samples,
    validation,
    recover,
    report,
    lap,
    seconds,
    ...fitting
  }: Trying,
): Promise<{
  readonly outcomes: ReadonlyMap<InitName, Outcome>;
  readonly terms: ReadonlyMap<Candidate, TheoremTerms>;
  readonly calibration: Calibration | undefined;
  /** What was recovered on; undefined where nothing was. */
  readonly recovery: RecoveredInit['described'];
}> {
  const { driver, linalg, signal } = fitting;
  const outcomes = new Map<InitName, Outcome>();
  const terms = new Map<Candidate, TheoremTerms>();
  let first: Predictions | undefined;
  let firstRecovered: Predictions | undefined;
  let recovery: RecoveredInit['described'];
  let calibration: Calibration | undefined;
  const isRelu = ({ candidate }: Plan): boolean => candidate.activation.kind === 'Relu';
  // The theorem's two are fitted to ReLU layers even where they are not compared.
  const extra = theoremInits.filter((init) => !inits.includes(init));
  for (const init of [...inits, ...extra]) {
    const isCompared = inits.includes(init);
    const tried = await tryInit(isCompared ? plans : plans.filter(isRelu), {
      ...fitting,
      init,
      path: input,
      subject,
      settings,
      fitOptions: options,
      calibrate: isCompared ? calibrate : undefined,
      samples: isCompared ? samples : undefined,
      biasCorrection: settings.fitting.biasCorrection,
      onProgress: (done, total, detail) => report('factorize', done, total, `${init}, ${detail}`),
      onImages: (done, total, detail) => report('calibrate', done, total, `${init}, ${detail}`),
      onSteps: (done, total) => report('factorize', done, total, `${init}, the whole model`),
    });
    seconds.fit += lap();
    if (tried instanceof LowrankError) {
      const none = recover === undefined ? {} : { recovery: null };
      outcomes.set(init, { failure: tried, fits: [], seconds: 0, warnings: [], ...none });
      continue;
    }
    const { fits } = tried;
    calibration ??= tried.calibration;
    if (init === 'spectral') {
      for (const fit of fits) {
        // The theorem is about one matrix.
        if (fit.candidate.layer.group === 1) terms.set(fit.candidate, await theoremTerms(fit, linalg));
      }
      seconds.fit += lap();
    }
    const { seconds: fitSeconds, warnings } = tried;
    let result: Outcome = { failure: null, fits: fits.map(withoutPair), seconds: fitSeconds, warnings };
    const isBuilt = isCompared && (validation !== undefined || recover !== undefined);
    const bytes = isBuilt ? await converted(input, init, fits, { settings, driver, subject }) : undefined;
    if (bytes !== undefined && validation !== undefined) {
      const judged = await judge(bytes, init, { validation, report, first });
      first ??= judged.predictions;
      result = { ...result, ...judged.result, warnings: [...result.warnings, ...judged.warnings] };
      seconds.evaluate += lap();
    }
    if (bytes !== undefined && recover !== undefined) {
      const recovered = await recoverConverted(bytes, {
        ...{ input, init, trial: recover, maxMemory: settings.running.maxMemory ?? undefined, signal, validation },
        first: firstRecovered,
        onStep: (done, total) => report('recover', done, total, init),
        onImages: (done, total) => report('evaluate', done, total, `${init}, recovered`),
      });
      firstRecovered ??= recovered.predictions;
      recovery ??= recovered.described;
      result = { ...result, recovery: recovered.recovery, warnings: [...result.warnings, ...recovered.warnings] };
      seconds.recover += lap();
    }
    outcomes.set(init, result);
  }
  return { outcomes, terms, calibration, recovery };
}

/** Pairs of all initializations at once would be several models in memory. */
function withoutPair({ pair: _pair, ...fit }: JudgedFit): LayerFit {
  return fit;
}

/** The bytes of the model with pairs in place of its layers. */
async function converted(
  input: string,
  init: InitName,
  fits: readonly Fit[],
  { settings, driver, subject }: Pick<Trying, 'settings' | 'driver' | 'subject'>,
): Promise<Uint8Array> {
  const fresh = await openSubject(input, settings, driver);
  try {
    emitFits(fresh.model, transferred(fits, subject, fresh), init);
    checkModel(fresh.model);
    return modelBytes(fresh.model);
  } finally {
    fresh.model.file?.close();
  }
}

interface JudgeContext {
  readonly validation: Validation;
  readonly report: (phase: ComparePhase, done: number, total: number, detail: string) => void;
  /** Predictions of the first initialization, behind the first one. */
  readonly first: Predictions | undefined;
}

/** Runs a converted model on the images. */
async function judge(
  bytes: Uint8Array,
  init: InitName,
  { validation, report, first }: JudgeContext,
): Promise<{
  readonly predictions: Predictions | undefined;
  readonly result: Partial<Outcome>;
  readonly warnings: readonly string[];
}> {
  try {
    const predictions = await validation.judge(init, bytes, (done, total) => report('evaluate', done, total, init));
    return { predictions, result: validation.summarize(predictions, first), warnings: [] };
  } catch (error) {
    if (!(error instanceof LowrankError) || error.code !== 'NUMERIC') throw error;
    return { predictions: undefined, result: {}, warnings: [error.message] };
  }
}
