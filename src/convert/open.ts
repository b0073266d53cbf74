import { LowrankError } from '../errors.js';
import { checkPaths } from '../files/conflicts.js';
import { checkWritable } from '../files/write-file.js';
import type { Model } from '../graph/model.js';
import { runnableModel } from '../graph/runnable.js';
import { modelBytes } from '../graph/write.js';
import { limitsOf } from '../limits.js';
import type { ShapeTable } from '../ops/infer.js';
import { requireMemory } from '../ops/memory.js';
import type { ModelSummary } from '../contracts/convert.js';
import { type FixedInputs, inputRemedy, withFixed } from '../passes/fix-inputs.js';
import type { Selection } from '../factorize/candidates.js';
import type { Calibrate } from '../factorize/calibration/types.js';
import { inits, requireImages } from '../factorize/inits/index.js';
import { selectLayers } from '../factorize/select-layers.js';
import { countMacs, countParameters } from '../rewrite/count.js';
import type { Layer } from '../rewrite/layers.js';
import { prepareModel, summarize } from '../rewrite/prepare.js';
import { meanwhile, type stopwatch } from '../rewrite/report-parts.js';
import { sampleFeeds } from '../rewrite/samples.js';
import { runReference } from '../rewrite/verify.js';
import { loadDriver } from '../runtime/driver.js';
import { sessionOptionsOf } from '../runtime/threads.js';
import type { Driver, RuntimeTensor, SessionOptions } from '../runtime/types.js';
import { type ConvertCall, convertPaths, outputOf, show } from './call.js';
import { type ConvertSettings, resolveSettings } from './settings.js';
import { isLatencyBudget } from '../factorize/settings.js';

/** Models of more multiply-accumulates are compared with the original on one sample, smaller ones on two. */
const twoSamplesMacs = 2e9;

/** What is asked for, settled as far as it is known; images that nobody asked for may turn out to be of no use. */
export interface Asked {
  readonly input: string;
  readonly output: string;
  readonly call: ConvertCall;
  settings: ConvertSettings;
  calibrate: Calibrate | undefined;
  readonly warnings: string[];
}

/** A model that was read, with its layers, and what runs it. */
export interface Opened {
  readonly asked: Asked;
  readonly model: Model;
  readonly shapes: ShapeTable;
  /** Inputs that are no images, which have one value until the model is written. */
  readonly fixed: FixedInputs;
  readonly driver: () => Promise<Driver>;
}

/** What is known of the original before anything is changed. */
export interface Original {
  readonly layers: readonly Layer[];
  readonly selection: Selection;
  readonly totals: { readonly params: number; readonly macs: number };
  /** The file, or bytes where weights were drawn anew. */
  readonly source: string | Uint8Array;
  readonly summary: ModelSummary;
  readonly session: SessionOptions;
  readonly samples: readonly Readonly<Record<string, RuntimeTensor>>[];
  /** What it gives for the samples. */
  readonly reference: Awaited<ReturnType<typeof runReference>>;
}

export interface Seconds {
  read: number;
  factorize: number;
  write: number;
  verify: number;
  total: number;
}

/** Reads the model and prepares it. Throws what `prepareModel` and `resolveSettings` throw. */
export async function openConversion(input: string, call: ConvertCall): Promise<Opened> {
  const { calibrate, signal } = call;
  const settings = resolveSettings(call, calibrate?.kind);
  requireImages(settings.fitting.init, calibrate !== undefined, `--init ${settings.fitting.init}`);
  checkPaths(convertPaths(input, call));
  show(call, 'read', 0, 1, input);
  let loaded: Driver | undefined;
  const driver = async (): Promise<Driver> => (loaded ??= await loadDriver());
  const { model, shapes, fixed, warnings } = await prepareModel(input, {
    inputShapes: settings.inputShapes,
    driver,
    limits: limitsOf(settings.running),
    isRun: isRunBy(settings, call),
    foldsWeights: true,
    opensAttention: true,
    isDequantized: true,
    inputs: settings.inputs,
    signal,
  });
  return {
    asked: { input, output: outputOf(input, call), call, settings, calibrate, warnings },
    model,
    shapes,
    fixed,
    driver,
  };
}

/** Selects the layers and runs the original on samples. Throws OUTPUT, and what `selectLayers` and running throw. */
export async function lookAtOriginal(
  { asked, model, shapes, fixed, driver }: Opened,
  seconds: Seconds,
  lap: ReturnType<typeof stopwatch>,
): Promise<Original> {
  const { input, output, call } = asked;
  checkWritable(output, asked.settings.output.force);
  const { calibrate } = asked;
  if (calibrate?.isOptional === true) {
    const obstacle = calibrate.obstacle(model) ?? tooLarge(model, shapes, asked.settings);
    const isOne = model.graph.inputs.filter(({ tensor }) => tensor === undefined).length === 1;
    if (obstacle !== undefined) withoutImages(asked, isOne ? obstacle : `${obstacle}: ${inputRemedy}`);
  }
  const { settings } = asked;
  const { layers, selection } = selectLayers(
    model,
    shapes,
    settings.selection,
    settings.fitting.init,
    settings.reinit ? settings : undefined,
  );
  asked.warnings.push(...selection.warnings);
  const totals = { params: countParameters(model.graph), macs: countMacs(model.graph, shapes) };
  // Only a re-initialized original differs from its file.
  const source = settings.reinit ? modelBytes(model) : input;
  seconds.read = lap();
  const session = sessionOptionsOf(settings.running);
  const seeds = totals.macs > twoSamplesMacs ? [1] : [1, 2];
  const own = settings.verification.verify ? seeds.map((n) => sampleFeeds(model, shapes, settings.seed + n)) : [];
  const samples = own.map((feeds) => withFixed(feeds, fixed));
  const isFixed = settings.inputs.length > 0;
  const running =
    own.length === 0
      ? Promise.resolve([])
      : runReference(
          await driver(),
          isFixed ? { model: modelBytes(model) } : runnableModel(model),
          own,
          session,
          call.signal,
        );
  // The file is hashed while the runtime loads it.
  const [reference, summary] = await meanwhile(running, () => summarize(model, shapes, input));
  seconds.verify += lap();
  return { layers, selection, totals, source, summary, session, samples, reference };
}

/** Goes on without images that nobody asked for. Throws UNSUPPORTED where ranks cannot be chosen without. */
export function withoutImages(asked: Asked, why: string): void {
  if (asked.settings.ranks.rankMode.kind === 'keep') {
    throw new LowrankError('UNSUPPORTED', `--keep measures agreement on pictures, and ${why}`, {
      place: asked.input,
      remedy: 'choose ranks another way, such as --rank-scale',
    });
  }
  asked.calibrate = undefined;
  asked.settings = resolveSettings(asked.call);
  requireImages(asked.settings.fitting.init, false, `--init ${asked.settings.fitting.init}`);
  asked.warnings.push(`nothing was fitted to pictures, only to the weights: ${why}`);
}

/** Why a model cannot be run: it needs too much memory. */
function tooLarge({ graph }: Model, shapes: ShapeTable, settings: ConvertSettings): string | undefined {
  try {
    requireMemory(graph, shapes, limitsOf(settings.running).memory);
    return undefined;
  } catch (error) {
    if (!(error instanceof LowrankError) || error.code !== 'RUNTIME') throw error;
    return error.fact;
  }
}

/** Whether the original is run, for whatever reason. */
function isRunBy(
  { verification, ranks: { rankMode }, fitting }: ConvertSettings,
  { calibrate, recalibrate, searchRanks }: ConvertCall,
): boolean {
  const isOfLatency = isLatencyBudget(rankMode);
  const isMeasured = verification.verify || verification.measureLatency || isOfLatency;
  const needed = calibrate?.isOptional === true ? undefined : calibrate;
  const asked = recalibrate?.isPartOfFit === true ? undefined : recalibrate;
  const isWhole = inits[fitting.init].isWhole === true;
  return isMeasured || isWhole || [needed, asked, searchRanks].some((other) => other !== undefined);
}
