import { LowrankError } from '../errors.js';
import { fitWhole } from '../convert/fit-whole.js';
import { type DataFitContext, fitOnData } from '../factorize/calibration/fit-on-data.js';
import { orderPatches } from '../factorize/calibration/scheme-order.js';
import type { Calibrate, LayerSamples } from '../factorize/calibration/types.js';
import type { Candidate } from '../factorize/candidates.js';
import { emitFits } from '../factorize/emit-fits.js';
import { type Fit, fitPlans } from '../factorize/fit.js';
import { inits } from '../factorize/inits/index.js';
import { sampleLoss } from '../factorize/inits/support/fit-through.js';
import type { Plan } from '../factorize/plan-types.js';
import { type FitOptions, fitSettingsOf } from '../factorize/sampled/options.js';
import type { FitSettings } from '../factorize/sampled/settings.js';
import type { ConvertSettings } from '../convert/settings.js';
import { modelBytes } from '../graph/write.js';
import type { Calibration } from '../contracts/images.js';
import type { TensorFlow } from '../runtime/tensorflow.js';
import { functionApproximation } from '../convert/function-approximation.js';
import { layerMatrix } from './layer-matrix.js';
import { openSubject, type Subject, transferred } from './subject.js';

export interface InitFitContext extends Omit<DataFitContext, 'sampled' | 'model'> {
  readonly subject: Subject;
  readonly settings: ConvertSettings;
  /** Of the inits that sample. */
  readonly fitOptions: FitOptions;
  /** undefined: onnxruntime fits. */
  readonly tensorFlow: TensorFlow | undefined;
  readonly calibrate: Calibrate | undefined;
  /** What the layers see on calibration images; undefined without them. */
  readonly samples: ReadonlyMap<Candidate, LayerSamples> | undefined;
  /** Counts steps of a fit of the whole model. */
  readonly onSteps: (done: number, total: number) => void;
}

/** A fit with its error through the activation on calibration images, where there are some. */
export type JudgedFit = Fit & { readonly dataFunctionError?: number };

export interface InitFits {
  readonly fits: readonly JudgedFit[];
  readonly calibration: Calibration | undefined;
  readonly warnings: readonly string[];
  /** Of fitting, without what was only measured on images. */
  readonly seconds: number;
}

/** Failures that belong to an initialization or a layer, and not to the whole run. */
const failures = new Set(['NUMERIC', 'UNSUPPORTED']);

/** Fits the plans with one initialization; an error where it cannot be done with this one. Throws all others. */
export async function tryInit(plans: readonly Plan[], context: InitFitContext): Promise<InitFits | LowrankError> {
  try {
    return await fitInit(plans, context);
  } catch (error) {
    if (error instanceof LowrankError && failures.has(error.code)) return error;
    throw error;
  }
}

async function fitInit(plans: readonly Plan[], context: InitFitContext): Promise<InitFits> {
  const started = performance.now();
  const { init, calibrate, subject, driver, session, tensorFlow } = context;
  const isSampled = inits[init].isSampled === true;
  const fit = isSampled ? fitSettingsOf(context.fitOptions, init) : context.settings.fitting.sampled;
  const fitting: DataFitContext = {
    ...context,
    model: subject.model,
    sampled: { settings: fit, driver, session, tensorFlow },
  };
  const own =
    calibrate === undefined
      ? { fits: await fitPlans(plans, fitting), report: undefined, warnings: [] }
      : await fitOnData(plans, calibrate, fitting);
  const whole =
    inits[init].isWhole === true
      ? await approximate(own.fits, fitting, fit, context)
      : { fits: own.fits, warnings: [] };
  // What is only measured on images is no part of the fit.
  const looking = inits[init].needs === undefined ? (own.report?.seconds ?? 0) : 0;
  const seconds = (performance.now() - started) / 1000 - looking;
  return {
    fits: await judgedOnImages(whole.fits, context),
    calibration: own.report,
    warnings: [...own.warnings, ...whole.fits.flatMap((fit) => fit.warnings ?? []), ...whole.warnings],
    seconds,
  };
}

/** Fits of the whole model, in a copy of its own. */
async function approximate(
  fits: readonly Fit[],
  fitContext: DataFitContext,
  fit: FitSettings,
  { init, path, subject, settings, seed, driver, session, signal, onSteps }: InitFitContext,
): Promise<{ readonly fits: readonly Fit[]; readonly warnings: readonly string[] }> {
  const copy = await openSubject(path, settings, driver);
  try {
    const own = transferred(fits, subject, copy);
    const original = settings.reinit ? modelBytes(copy.model) : path;
    const records = emitFits(copy.model, own, init);
    const whole = await fitWhole(copy.model, own, {
      approximate: functionApproximation(),
      original,
      shapes: copy.shapes,
      records,
      fitContext,
      fit,
      seed,
      driver,
      session,
      signal,
      onProgress: onSteps,
    });
    return { fits: transferred(whole.fits, copy, subject), warnings: whole.warnings };
  } finally {
    copy.model.file?.close();
  }
}

/** With sqrt(E‖σ(P̂) − σ(P)‖² / E‖σ(P)‖²), P the argument of the activation in the original model on the images. */
async function judgedOnImages(
  fits: readonly Fit[],
  { samples, linalg, signal }: InitFitContext,
): Promise<readonly JudgedFit[]> {
  if (samples === undefined) return fits;
  const judged: JudgedFit[] = [];
  for (const fit of fits) {
    const seen = samples.get(fit.candidate);
    if (seen === undefined) {
      judged.push(fit);
      continue;
    }
    const { geometry } = fit.candidate.layer;
    const ordered = { ...seen, inputs: orderPatches(seen.inputs, geometry, fit.scheme) };
    const problem = { ...layerMatrix(fit.candidate.layer, fit.scheme), linalg, signal };
    judged.push({ ...fit, dataFunctionError: await sampleLoss(problem, ordered, fit.pair, fit.shift) });
  }
  return judged;
}
