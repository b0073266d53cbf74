import { inWords, LowrankError, throwIfAborted } from '../errors.js';
import { checkModel } from '../graph/check.js';
import type { Model } from '../graph/model.js';
import { runnableModel } from '../graph/runnable.js';
import { dataLocation, modelBytes, type StagedModel, stageModelInPieces } from '../graph/write.js';
import type { Linalg } from '../linalg/types.js';
import { paced } from '../files/pieces.js';
import { cpuNodes, describeCpuNodes } from '../lower/cuda/placement.js';
import type { ShapeTable } from '../ops/infer.js';
import { requireMemory } from '../ops/memory.js';
import { checkPaths, type PathUse } from '../files/conflicts.js';
import { modelReads, modelWrites } from '../graph/model-paths.js';
import { checkWritable } from '../files/write-file.js';
import type { ChangeUnit, ConvertReport, LayerReport, Preparation, Ratio } from '../contracts/convert.js';
import { loadDriver } from '../runtime/driver.js';
import { limitsOf } from '../limits.js';
import { sessionOptionsOf } from '../runtime/threads.js';
import type { Driver, SessionOptions } from '../runtime/types.js';
import type { Recalibrate } from '../training/recalibrate.js';
import { tool } from '../version.js';
import { type Approximate, fitWhole, requireApproximate } from './fit-whole.js';
import { type MeasuredAgreement, measuredChange } from './agreement.js';
import { adviceFor } from './agreement-advice.js';
import type { Candidate, Selection } from '../factorize/candidates.js';
import { chooseAndFit, type Chosen } from './choose-and-fit.js';
import { countMacs, countParameters } from '../rewrite/count.js';
import type { Calibrate, CalibrateContext, Moments } from '../factorize/calibration/types.js';
import { emitFits } from '../factorize/emit-fits.js';
import { startEngine } from '../factorize/engine.js';
import type { Fit, FittedSpectrum } from '../factorize/fit.js';
import { inits, requireImages } from '../factorize/inits/index.js';
import { shareOf } from './keep-search.js';
import { type FitsOfSearch, fitsOfSearch } from '../factorize/known-fits.js';
import { latencySource } from './latency-source.js';
import { activationOf, factorizedReport, keptReport } from '../factorize/layer-report.js';
import { findLayers, type Layer, layerCounts } from '../rewrite/layers.js';
import type { PairRecord } from '../rewrite/pairs.js';
import { measureModels, modelTurn } from '../rewrite/measure-models.js';
import type { Plan } from '../factorize/plan-types.js';
import { prepareModel, summarize } from '../rewrite/prepare.js';
import { type SearchRanks, tryPlans } from './rank-search.js';
import type { Finish } from './trial-model.js';
import { postponable } from './postponable.js';
import { recordPreparation } from '../images/record-preparation.js';
import { sensitivityOf } from '../factorize/sensitivity/report.js';
import { nearlyLost } from './nearly-lost.js';
import { describeOutput, meanwhile, ratio, stopwatch } from '../rewrite/report-parts.js';
import { sampleFeeds } from '../rewrite/samples.js';
import { selectLayers } from '../factorize/select-layers.js';
import { type ConvertOptions, type ConvertSettings, describeSettings, resolveSettings } from './settings.js';
import type { RankMode } from '../factorize/settings.js';
import type { InitName } from '../factorize/types.js';
import { runReference, type Verification, verifyAgainst } from '../rewrite/verify.js';

/** Models of more multiply-accumulates are compared with the original on one sample, smaller ones on two. */
const manyMacs = 2e9;

export type ConvertPhase =
  'read' | 'plan' | 'search' | 'calibrate' | 'factorize' | 'approximate' | 'recalibrate' | 'write' | 'verify';

export interface Progress {
  readonly phase: ConvertPhase;
  readonly done: number;
  readonly total: number;
  readonly detail: string;
}

/**
 * Finds out how images become inputs of a model that is shown none; undefined where it takes none. Throws ABORTED.
 */
export type FindPreparation = (
  model: Model,
  context: Pick<CalibrateContext, 'path' | 'driver' | 'session' | 'signal'>,
) => Promise<Preparation | undefined>;

export interface ConvertCall extends ConvertOptions {
  /** Images that the layers are fitted on, or only measured on where the initialization needs none: `calibration` makes it. */
  readonly calibrate?: Calibrate | undefined;
  /** What is done to the factorized model before it is written: `recalibration` makes it from a folder of images. */
  readonly recalibrate?: Recalibrate | undefined;
  /** For what the written model says of its images, where layers are fitted to none: `foundPreparation` makes it. */
  readonly findPreparation?: FindPreparation | undefined;
  /** Fits the pairs all at once, for an `init` of whole models (`fai`): `functionApproximation` makes it. */
  readonly approximate?: Approximate | undefined;
  /** Chooses the ranks for an `accuracyBudget`: `accuracySearch` makes it from labelled images. */
  readonly searchRanks?: SearchRanks | undefined;
  /** A conversion of a search: what is known of the layers by name, with this calibration; agreement is not measured. */
  readonly trial?: { readonly moments: ReadonlyMap<string, Moments>; readonly known: FitsOfSearch };
  /** Default: the input's name with `.lowrank.onnx`. */
  readonly output?: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
  /** Lines for people on what long work has come to: every model that a search has measured. */
  readonly onNote?: (line: string) => void;
  /** Asks for the leading singular values of each factorized weight; costs a full spectrum per layer. */
  readonly onSpectrum?: (layer: string, spectrum: FittedSpectrum) => void;
}

/**
 * Replaces the convolutions and dense layers of the model at `input` by low-rank pairs and writes the result. The written
 * file is reloaded, checked and run against the original before it takes its name; counts in the report are of that file.
 *
 * Throws USAGE (contradictory or impossible options), INPUT, FORMAT, EXTERNAL_DATA, GRAPH (the input), UNSUPPORTED (nothing
 * that could be factorized, quantized models), NUMERIC (weights that are not finite), OUTPUT, VERIFY, DEVICE, RUNTIME,
 * ABORTED. Nothing is written then.
 */
export async function convert(input: string, asked: ConvertCall = {}): Promise<ConvertReport> {
  const started = performance.now();
  const interruption = asked.searchRanks === undefined ? undefined : postponable(asked.signal);
  const call: ConvertCall = interruption === undefined ? asked : { ...asked, signal: interruption.signal };
  let calibrate = call.calibrate;
  let settings = resolveSettings(call, calibrate?.kind);
  const { signal } = call;
  requireImages(settings.fitting.init, calibrate !== undefined, `--init ${settings.fitting.init}`);
  const { isWhole } = inits[settings.fitting.init];
  requireApproximate(isWhole, call.approximate);
  checkPaths(convertPaths(input, call));
  const output = call.output ?? defaultOutput(input);
  const lap = stopwatch();

  report(call, 'read', 0, 1, input);
  let driver: Driver | undefined;
  const getDriver = async (): Promise<Driver> => (driver ??= await loadDriver());
  const { model, shapes, warnings } = await prepareModel(input, {
    inputShapes: settings.inputShapes,
    driver: getDriver,
    limits: limitsOf(settings.running),
    isRun: isRunBy(settings, call),
    signal,
  });
  let linalg: Linalg | undefined;
  let staged: StagedModel | undefined;
  let chosen: Chosen | undefined;
  const known = call.trial?.known ?? fitsOfSearch();
  try {
    checkWritable(output, settings.output.force);
    /** Goes on without images that nobody asked for. */
    const withoutImages = (why: string): void => {
      if (settings.ranks.rankMode.kind === 'keep') {
        throw new LowrankError('UNSUPPORTED', `--keep measures agreement on pictures, and ${why}`, {
          place: input,
          remedy: 'choose ranks another way, such as --rank-scale',
        });
      }
      calibrate = undefined;
      settings = resolveSettings(call);
      requireImages(settings.fitting.init, false, `--init ${settings.fitting.init}`);
      warnings.push(`nothing was fitted to pictures, only to the weights: ${why}`);
    };
    const obstacle =
      calibrate?.isOptional === true ? (calibrate.obstacle(model) ?? tooLarge(model, shapes, settings)) : undefined;
    if (obstacle !== undefined) withoutImages(obstacle);
    const { layers, selection } = selectLayers(
      model,
      shapes,
      settings.selection,
      settings.reinit ? settings : undefined,
    );
    warnings.push(...selection.warnings);
    const before = { params: countParameters(model.graph), macs: countMacs(model.graph, shapes) };
    // Only a re-initialized original differs from its file.
    const original = settings.reinit ? modelBytes(model) : input;
    const seconds = { read: lap(), factorize: 0, write: 0, verify: 0, total: 0 };

    const sessionOptions = sessionOptionsOf(settings.running);
    const seeds = before.macs > manyMacs ? [1] : [1, 2];
    const samples = settings.verification.verify ? seeds.map((n) => sampleFeeds(model, shapes, settings.seed + n)) : [];
    const running =
      samples.length === 0
        ? Promise.resolve([])
        : runReference(await getDriver(), runnableModel(model), samples, sessionOptions, signal);
    // The file is hashed while the runtime loads it.
    const [reference, summary] = await meanwhile(running, () => summarize(model, shapes, input));
    seconds.verify += lap();

    const engine = await startEngine({ ...settings.running, driver: await getDriver() });
    linalg = engine.linalg;
    const algebra = engine.linalg;
    const latency =
      budgetOf(settings) === 'latency'
        ? await latencySource(await getDriver(), model, shapes, original, settings, signal)
        : undefined;
    const choosing = async (): Promise<Chosen> => {
      const imageContext = {
        path: input,
        model,
        driver: await getDriver(),
        session: sessionOptions,
        seed: settings.seed,
        onImages: (done: number, total: number, detail: string) => report(call, 'calibrate', done, total, detail),
        signal,
      };
      return chooseAndFit(calibrate, selection.candidates, {
        images: imageContext,
        reinit: settings.reinit,
        biasCorrection: settings.fitting.biasCorrection,
        planning: {
          settings: settings.ranks,
          linalg: algebra,
          totals: before,
          signal,
          ...(latency === undefined ? {} : { latency }),
          onProgress: (done, total, detail) => report(call, 'plan', done, total, detail),
        },
        fitting: {
          linalg: algebra,
          init: settings.fitting.init,
          seed: settings.seed,
          sampled: {
            settings: settings.fitting.sampled,
            driver: await getDriver(),
            session: sessionOptions,
            tensorFlow: engine.tensorFlow,
          },
          onProgress: (done, total, detail) => report(call, 'factorize', done, total, detail),
          onSpectrum: call.onSpectrum,
          signal,
        },
        trial: call.trial,
        known,
        finish: await finishing(call, { path: input, driver: getDriver, session: sessionOptions }),
        isCurveMeasured: false,
        onSearch: (done, total, detail) => report(call, 'search', done, total, detail),
        search:
          call.searchRanks === undefined
            ? undefined
            : async (curves, moments) =>
                call.searchRanks!({
                  settings: settings.ranks,
                  init: settings.fitting.init,
                  running: settings.running,
                  linalg: algebra,
                  totals: before,
                  signal: asked.signal,
                  curves,
                  path: input,
                  candidates: selection.candidates,
                  driver: await getDriver(),
                  onProgress: (done, total, detail) => report(asked, 'search', done, total, detail),
                  onNote: (line) => call.onNote?.(line),
                  onFound: () => interruption?.postpone(),
                  tryPlans: (tried, how, use) =>
                    tryPlans(tried, { input, output, call: asked, moments, known, convert }, how, use),
                }),
      });
    };
    try {
      chosen = await choosing();
    } catch (error) {
      const isNeeded = calibrate?.isOptional !== true || settings.ranks.rankMode.kind === 'keep';
      if (isNeeded || !isOfImages(error)) throw error;
      withoutImages(error.place === undefined ? error.fact : `${error.fact} (${error.place})`);
      chosen = await choosing();
    }
    const { plans, searched, calibrated, observed, keptOut, fitting } = chosen;
    let fits: readonly Fit[] = chosen.fits;
    warnings.push(...chosen.warnings, ...engine.warnings);
    warnings.push(...fits.flatMap((fit) => fit.warnings ?? []));
    // What it holds of the search listens to the interruption that was put off.
    if (asked.signal?.aborted === true) await call.recalibrate?.close?.();
    const preparation =
      calibrated?.report.preparation ??
      (await call.findPreparation?.(model, {
        path: input,
        driver: await getDriver(),
        session: sessionOptions,
        signal,
      }));
    const records = emitFits(model, fits, fitting.init);
    if (isWhole === true) {
      if (engine.tensorFlow !== undefined) {
        warnings.push(
          `${settings.fitting.init} trains the whole network with onnxruntime: the engine tfjs fitted the pairs it starts from`,
        );
      }
      const whole = await fitWhole(model, fits, {
        approximate: call.approximate!,
        original,
        shapes,
        records,
        fitContext: chosen.fitting,
        fit: settings.fitting.sampled,
        seed: settings.seed,
        driver: await getDriver(),
        session: sessionOptions,
        signal,
        onProgress: (done, total) => report(call, 'approximate', done, total, output),
      });
      fits = whole.fits;
      warnings.push(...whole.warnings);
    }
    await algebra.close();
    if (preparation !== undefined) recordPreparation(model, preparation);
    checkModel(model);
    seconds.factorize = lap();
    const isLeftOut =
      call.recalibrate?.isPartOfFit === true && (calibrate === undefined || fits.length === 0 || settings.reinit);
    const recalibrated = await (isLeftOut ? undefined : call.recalibrate)?.(model, {
      path: input,
      original: input,
      driver: await getDriver(),
      session: sessionOptions,
      signal,
      onProgress: (done, total) => report(call, 'recalibrate', done, total, output),
    });
    warnings.push(...(recalibrated?.warnings ?? []));
    // Nobody asked for what found nothing to do.
    const isRecalibrated =
      recalibrated !== undefined && (call.recalibrate?.isPartOfFit !== true || recalibrated.report.layers > 0);
    const judged = await keptOut?.judge.measure(keptOut.bytesOf(model), (done, total) =>
      report(call, 'calibrate', done, total, 'the converted model'),
    );
    warnings.push(...(judged?.warnings ?? []));
    requireKept(settings.ranks.rankMode, judged?.agreement, observed?.report.unit);
    lap();

    throwIfAborted(signal);
    report(call, 'write', 0, 1, output);
    staged = await paced(
      stageModelInPieces(model, output, { force: settings.output.force, dataLocation: dataLocation(settings.output) }),
      { signal },
    );
    seconds.write = lap();

    report(call, 'verify', 0, 1, output);
    const written = await recount(staged.temporaryPath, settings, getDriver, records);
    warnings.push(...written.warnings);
    let verification: Verification | null = null;
    if (settings.verification.verify) {
      verification = await verifyAgainst(
        await getDriver(),
        staged.temporaryPath,
        samples,
        reference,
        sessionOptions,
        signal,
      );
    }
    const confirmed = await searched?.confirm(staged.temporaryPath);
    warnings.push(...(confirmed?.warnings ?? []));
    let latencyMs: Ratio | null = null;
    if (settings.verification.measureLatency || latency !== undefined) {
      const feeds = samples[0] ?? sampleFeeds(model, shapes, settings.seed + 1);
      const models = [original, staged.temporaryPath] as const;
      const [before = 0, after = 0] = await measureModels(
        await getDriver(),
        models,
        feeds,
        sessionOptions,
        modelTurn,
        signal,
      );
      latencyMs = ratio(before, after);
      warnings.push(...latencyWarnings(settings, latencyMs));
    }
    throwIfAborted(signal);
    seconds.verify += lap();
    const file = staged.commit();
    const outputFacts = describeOutput(file);
    seconds.write += lap();

    const layerReports = layers.map((layer): LayerReport => {
      const sensitivity = observed === undefined ? undefined : sensitivityOf(layer, plans, fits, observed.curves);
      const own = reportLayer(layer, selection, plans, fits, fitting.init, written);
      return sensitivity === undefined ? own : Object.assign(own, { sensitivity });
    });
    const agreement =
      judged?.agreement === undefined
        ? undefined
        : {
            ...judged.agreement,
            advice: adviceFor(judged.agreement, { output, sizeOption: sizeOption(settings.ranks.rankMode) }),
          };
    if (!settings.reinit && settings.fitting.init !== 'baseline') warnings.push(...nearlyLost(layerReports));
    if (fits.length === 0) warnings.push('no layer was factorized: the output computes what the input does');
    seconds.total = (performance.now() - started) / 1000;
    return inWords<ConvertReport>({
      schema: 'lowrank.convert/1',
      tool,
      seed: settings.seed,
      model: summary,
      settings: {
        ...describeSettings({ ...settings, ranks: { ...settings.ranks, rankMode: chosen.rankMode } }),
        output,
      },
      engine: engine.report,
      layers: layerReports,
      totals: {
        params: ratio(before.params, written.params),
        macs: ratio(before.macs, written.macs),
        latencyMs,
      },
      verify: verification === null ? null : { reloaded: true, ...verification },
      ...(preparation === undefined ? {} : { preparation }),
      ...(isRecalibrated ? { recalibration: recalibrated.report } : {}),
      ...(calibrated === undefined ? {} : { calibration: calibrated.report }),
      ...(observed === undefined
        ? {}
        : { sensitivity: { ...observed.report, ...(chosen.rules.length === 0 ? {} : { rules: chosen.rules }) } }),
      ...(chosen.tradeOff === undefined ? {} : { tradeOff: chosen.tradeOff(judged?.agreement) }),
      ...(agreement === undefined ? {} : { agreement }),
      ...(confirmed === undefined ? {} : { accuracyBudget: confirmed.report }),
      output: outputFacts,
      warnings,
      seconds,
    });
  } finally {
    staged?.discard();
    await chosen?.close();
    if (call.trial === undefined) await call.recalibrate?.close?.();
    await linalg?.close();
    model.file?.close();
    interruption?.close();
  }
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

/** What can go wrong with images that nobody asked for, and leaves the conversion possible. */
function isOfImages(error: unknown): error is LowrankError {
  const codes: readonly string[] = ['NUMERIC', 'UNSUPPORTED', 'SHAPE', 'INPUT', 'GRAPH', 'RUNTIME'];
  return error instanceof LowrankError && codes.includes(error.code);
}

/** The option that keeps more where its number is larger. */
function sizeOption(mode: RankMode): string | undefined {
  switch (mode.kind) {
    case 'budget':
      return `--${mode.of}-budget`;
    case 'scale':
      return '--rank-scale';
    case 'energy':
    case 'keep':
    case 'stable-rank':
      return `--${mode.kind}`;
    case 'ranks':
    case 'vbmf':
    case 'accuracy':
      return undefined;
  }
}

/** Throws NUMERIC where what is done behind the search, such as recalibration, cost too much of the agreement. */
function requireKept(mode: RankMode, agreement: MeasuredAgreement | undefined, unit: ChangeUnit | undefined): void {
  if (mode.kind !== 'keep' || agreement === undefined || unit === undefined) return;
  const change = measuredChange(agreement, unit);
  const share = change === undefined ? 0 : shareOf({ agreement: agreement.top1?.share ?? null, change });
  if (share >= mode.share) return;
  throw new LowrankError(
    'NUMERIC',
    `the converted model agrees with the original on ${(100 * share).toFixed(1)} % of the images kept out of the fit`,
    { remedy: `lower --keep, which is ${mode.share}, or leave --recalibrate and --init out; nothing was written` },
  );
}

/** What is done to models with pairs before they are written, for those that are only measured. */
export async function finishing(
  { recalibrate, signal }: Pick<ConvertCall, 'recalibrate' | 'signal'>,
  { path, driver, session }: { readonly path: string; driver(): Promise<Driver>; readonly session: SessionOptions },
): Promise<Finish | undefined> {
  if (recalibrate === undefined) return undefined;
  const context = { path, original: path, driver: await driver(), session, signal, onProgress: () => undefined };
  return (model) => recalibrate(model, context);
}

/** Whether the original is run, for whatever reason. */
function isRunBy(
  settings: ConvertSettings,
  { calibrate, recalibrate, searchRanks, approximate }: ConvertCall,
): boolean {
  const isMeasured =
    settings.verification.verify || settings.verification.measureLatency || budgetOf(settings) === 'latency';
  const needed = calibrate?.isOptional === true ? undefined : calibrate;
  const asked = recalibrate?.isPartOfFit === true ? undefined : recalibrate;
  return isMeasured || [needed, asked, searchRanks, approximate].some((other) => other !== undefined);
}

function budgetOf({ ranks: { rankMode } }: ConvertSettings): string | undefined {
  return rankMode.kind === 'budget' ? rankMode.of : undefined;
}

function report(call: ConvertCall, phase: ConvertPhase, done: number, total: number, detail: string): void {
  throwIfAborted(call.signal);
  call.onProgress?.({ phase, done, total, detail });
}

/** The files that `convert` reads and writes. */
export function convertPaths(input: string, call: ConvertCall): readonly PathUse[] {
  const { calibrate, recalibrate, searchRanks, output = defaultOutput(input) } = call;
  return [
    ...modelReads(input),
    ...modelWrites(output),
    ...[calibrate, recalibrate, searchRanks].flatMap((images) => images?.paths ?? []),
  ];
}

function defaultOutput(input: string): string {
  return `${input.replace(/\.onnx$/i, '')}.lowrank.onnx`;
}

interface Written {
  readonly params: number;
  readonly macs: number;
  /** Counts of each new pair by the name of the layer it replaced. */
  readonly pairs: ReadonlyMap<string, { readonly params: number; readonly macs: number }>;
  readonly warnings: readonly string[];
}

/** Reads the written file back and counts what is in it. */
async function recount(
  path: string,
  settings: ConvertSettings,
  driver: () => Promise<Driver>,
  records: readonly PairRecord[],
): Promise<Written> {
  const { model, shapes } = await prepareModel(path, {
    inputShapes: settings.inputShapes,
    driver,
    limits: limitsOf(settings.running),
  });
  try {
    const byNode = new Map(findLayers(model.graph, shapes).map((layer) => [layer.node.name, layer]));
    const counted = new Set<string>();
    const pairs = new Map<string, { params: number; macs: number }>();
    for (const record of records) {
      const sum = { params: 0, macs: 0 };
      for (const name of record.nodes) {
        const layer = byNode.get(name);
        if (layer === undefined) {
          throw new LowrankError('VERIFY', `node '${name}' of a new pair is not in the written file`, { place: path });
        }
        const counts = layerCounts(layer);
        sum.macs += counts.macs;
        // Weights that two layers share are in the file once.
        if (!counted.has(record.u)) sum.params += counts.params;
      }
      counted.add(record.u);
      pairs.set(record.name, sum);
    }
    const stray =
      settings.running.device === 'cuda' ? describeCpuNodes(cpuNodes(model, shapes), 'the written model') : undefined;
    const warnings = stray === undefined ? [] : [stray];
    return { params: countParameters(model.graph), macs: countMacs(model.graph, shapes), pairs, warnings };
  } finally {
    model.file?.close();
  }
}

function reportLayer(
  layer: Layer,
  selection: Selection,
  plans: readonly Plan[],
  fits: readonly Fit[],
  init: InitName,
  written: Written,
): LayerReport {
  const reason = selection.kept.get(layer);
  if (reason !== undefined) return keptReport(layer, reason, 'linear');
  const holds = ({ candidate }: { readonly candidate: Candidate }): boolean =>
    candidate.layers.some((member) => member === layer);
  const fit = fits.find(holds);
  if (fit === undefined) {
    const plan = plans.find(holds)!;
    return keptReport(layer, plan.note, activationOf(plan.candidate));
  }
  const after = written.pairs.get(layer.name)!;
  const factorized = factorizedReport(layer, fit, init, after);
  if (fit.candidate.layer === layer) return factorized;
  // The weight is counted with the first of the layers that share it.
  const own = layer.kind === 'factorizable' ? layer.biasCount : 0;
  const shared = `${factorized.reason}; shares its weight with '${fit.candidate.layer.label}', where it is counted`;
  return { ...factorized, reason: shared, params: { before: own, after: after.params } };
}

function latencyWarnings(settings: ConvertSettings, latency: Ratio): string[] {
  const { rankMode } = settings.ranks;
  const percent = `${(100 * latency.ratio).toFixed(1)} % of the original's time`;
  if (rankMode.kind === 'budget' && rankMode.of === 'latency' && latency.ratio > rankMode.fraction) {
    return [`the latency budget of ${rankMode.fraction} was missed: measured whole, the model takes ${percent}`];
  }
  return latency.ratio > 1 ? [`the converted model is slower here: ${percent}`] : [];
}
