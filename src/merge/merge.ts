import { inWords, LowrankError, throwIfAborted } from '../errors.js';
import { countMacs, countParameters } from '../rewrite/count.js';
import { findPairs, pairCounts } from '../rewrite/find-pairs.js';
import type { Pair } from '../rewrite/joined-layers.js';
import { findLayers, type Layer } from '../rewrite/layers.js';
import { type PairRecord, writePairs } from '../rewrite/pairs.js';
import { prepareModel, summarize } from '../rewrite/prepare.js';
import { describeOutput, ratio, stopwatch } from '../rewrite/report-parts.js';
import { sampleFeeds } from '../rewrite/samples.js';
import { runReference, type Verification, verifyAgainst } from '../rewrite/verify.js';
import { checkModel } from '../graph/check.js';
import type { Model } from '../graph/model.js';
import { runnableModel } from '../graph/runnable.js';
import type { Value } from '../graph/value.js';
import { dataLocation, type StagedModel, stageModelInPieces } from '../graph/write.js';
import { createLinalg } from '../linalg/linalg.js';
import type { Linalg } from '../linalg/types.js';
import { BFLOAT16, FLOAT, FLOAT16 } from '../onnx/data-type.js';
import { paced } from '../files/pieces.js';
import { checkPaths, type PathUse } from '../files/conflicts.js';
import { modelReads, modelWrites } from '../graph/model-paths.js';
import { checkWritable } from '../files/write-file.js';
import type { ShapeTable } from '../ops/infer.js';
import { resolveWeight } from '../ops/resolve-weight.js';
import { foldBatchNormalization } from '../passes/fold-batch-normalization.js';
import { runPasses } from '../passes/runner.js';
import type { Kept } from '../contracts/convert.js';
import type { MergedPair, MergeReport } from '../contracts/merge.js';
import { checkedLimits, defaultVerifyTimeout, limitsOf, type LimitOptions } from '../limits.js';
import { loadDriver } from '../runtime/driver.js';
import { sessionOptionsOf } from '../runtime/threads.js';
import type { Device, Driver } from '../runtime/types.js';
import { tool } from '../version.js';
import { planMerges, mergeGroups } from './merge-groups.js';

/** Options of `merge`. Names and defaults are those of the command line. */
export interface MergeOptions extends LimitOptions {
  /** Merge every pair; default false: only where the single layer has no more MACs than the pair. */
  readonly all?: boolean;
  /** Default true. */
  readonly foldBatchNormalization?: boolean;
  /** Replace an existing output. */
  readonly force?: boolean;
  /** Refuse to write a model that one file cannot hold. */
  readonly singleFile?: boolean;
  /** Put large tensors into a file of their own, `<output>.data`; default: one file, as far as it holds them (2 GiB). */
  readonly externalData?: boolean;
  /** Run the written model against the original; default true. */
  readonly verify?: boolean;
  /** Of the inputs for the comparison. */
  readonly seed?: number;
  readonly device?: Device;
  /** Threads of onnxruntime; default: the machine's cores. */
  readonly threads?: number;
  /** Shapes of inputs with dynamic axes, by input name. */
  readonly inputShapes?: Readonly<Record<string, readonly number[]>>;
}

export interface MergeCall extends MergeOptions {
  /** Default: the input's name with `.merged.onnx`. */
  readonly output?: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: MergeProgress) => void;
}

export interface MergeProgress {
  readonly phase: 'read' | 'merge' | 'write' | 'verify';
  readonly done: number;
  readonly total: number;
  readonly detail: string;
}

type Settings = Required<Omit<MergeOptions, 'threads' | keyof LimitOptions>> &
  LimitOptions & { readonly threads: number };

/**
 * Turns low-rank pairs of the model at `input` back into single layers where that costs no more MACs (with `all`
 * everywhere), folds BatchNormalization into the layers before it, and writes the result. The written file is reloaded,
 * checked and run against the original before it takes its name: it must compute the same up to rounding.
 *
 * Throws INPUT, FORMAT, EXTERNAL_DATA, GRAPH, SHAPE (the input), USAGE, NUMERIC (a product that is not finite), OUTPUT,
 * VERIFY, DEVICE, RUNTIME, ABORTED. Nothing is written then.
 */
export async function merge(input: string, call: MergeCall = {}): Promise<MergeReport> {
  const started = performance.now();
  const lap = stopwatch();
  const settings = settingsOf(call);
  const { signal } = call;
  checkPaths(mergePaths(input, call.output));
  const output = call.output ?? defaultOutput(input);
  const progress = (phase: MergeProgress['phase'], done: number, total: number, detail: string): void => {
    throwIfAborted(signal);
    call.onProgress?.({ phase, done, total, detail });
  };
  progress('read', 0, 1, input);
  let driver: Driver | undefined;
  const getDriver = async (): Promise<Driver> => (driver ??= await loadDriver());
  const prepare = (path: string): ReturnType<typeof prepareModel> =>
    prepareModel(path, {
      inputShapes: settings.inputShapes,
      driver: getDriver,
      limits: limitsOf(settings),
      isRun: settings.verify,
      signal,
    });
  const { model, shapes, warnings } = await prepare(input);
  let linalg: Linalg | undefined;
  let staged: StagedModel | undefined;
  try {
    checkWritable(output, settings.force);
    const summary = summarize(model, shapes, input);
    const before = { params: countParameters(model.graph), macs: countMacs(model.graph, shapes) };
    const layers = findLayers(model.graph, shapes);
    const found = findPairs(model, layers);
    warnings.push(...found.warnings);
    const seconds = { read: lap(), merge: 0, write: 0, verify: 0, total: 0 };

    const sessionOptions = sessionOptionsOf(settings);
    const samples = settings.verify ? [1, 2].map((n) => sampleFeeds(model, shapes, settings.seed + n)) : [];
    const reference =
      samples.length === 0
        ? []
        : await runReference(await getDriver(), runnableModel(model), samples, sessionOptions, signal);
    seconds.verify += lap();

    const { groups, kept } = planMerges(found.pairs, settings.all);
    if (groups.length > 0) {
      const algebra = await createLinalg({
        driver: await getDriver(),
        ...(settings.threads > 0 ? { threads: settings.threads } : {}),
      });
      linalg = algebra;
      await mergeGroups(model, groups, algebra, {
        signal,
        onProgress: (done, detail) => progress('merge', done, groups.length, detail),
      });
      checkModel(model);
    }
    const keptPairs = found.pairs.filter((pair) => kept.has(pair));
    const folds = settings.foldBatchNormalization ? foldAll(model, shapes, signal) : { folded: 0, kept: [] };
    writePairs(model, recordsOf(model, keptPairs));
    checkModel(model);
    seconds.merge = lap();

    progress('write', 0, 1, output);
    staged = await paced(
      stageModelInPieces(model, output, { force: settings.force, dataLocation: dataLocation(settings) }),
      { signal },
    );
    seconds.write = lap();

    progress('verify', 0, 1, output);
    const written = await countsOf(staged.temporaryPath, prepare);
    const tolerance = toleranceOf(layers);
    let verification: Verification | null = null;
    if (settings.verify) {
      const path = staged.temporaryPath;
      verification = await verifyAgainst(await getDriver(), path, samples, reference, sessionOptions, signal);
      requireSame(verification, tolerance);
    }
    throwIfAborted(signal);
    seconds.verify += lap();
    const outputFacts = describeOutput(staged.commit());
    seconds.write += lap();

    const merged = groups.flatMap((group) => group.map((pair, index) => describeMerge(pair, index > 0)));
    if (merged.length + folds.folded === 0) warnings.push('nothing was merged or folded: the output is the input');
    seconds.total = (performance.now() - started) / 1000;
    return inWords<MergeReport>({
      schema: 'lowrank.merge/1',
      tool,
      model: summary,
      settings: {
        ...settings,
        maxMemory: settings.maxMemory ?? null,
        verifyTimeout: settings.verifyTimeout ?? defaultVerifyTimeout,
        output,
      },
      merged,
      kept: keptPairs.map((pair) => ({ name: pair.name, label: pair.label, reason: kept.get(pair)! })),
      foldedBatchNormalizations: folds.folded,
      keptBatchNormalizations: folds.kept,
      totals: {
        params: ratio(before.params, written.params),
        macs: ratio(before.macs, written.macs),
        latencyMs: null,
      },
      verify: verification === null ? null : { reloaded: true, ...verification, tolerance },
      output: outputFacts,
      warnings,
      seconds,
    });
  } finally {
    staged?.discard();
    await linalg?.close();
    model.file?.close();
  }
}

/** The files that `merge` reads and writes. */
export function mergePaths(input: string, output = defaultOutput(input)): readonly PathUse[] {
  return [...modelReads(input), ...modelWrites(output)];
}

function defaultOutput(input: string): string {
  return `${input.replace(/\.onnx$/i, '')}.merged.onnx`;
}

function settingsOf(options: MergeOptions): Settings {
  dataLocation(options);
  return {
    all: options.all ?? false,
    foldBatchNormalization: options.foldBatchNormalization ?? true,
    force: options.force ?? false,
    singleFile: options.singleFile ?? false,
    externalData: options.externalData ?? false,
    verify: options.verify ?? true,
    seed: options.seed ?? 0,
    device: options.device ?? 'cpu',
    threads: options.threads ?? 0,
    inputShapes: options.inputShapes ?? {},
    ...checkedLimits(options),
  };
}

function foldAll(
  model: Model,
  shapes: ShapeTable,
  signal: AbortSignal | undefined,
): { readonly folded: number; readonly kept: readonly Kept[] } {
  const { passes } = runPasses(model, [foldBatchNormalization], { shapes: shapes.options, signal });
  return {
    folded: passes.reduce((sum, { changes }) => sum + changes, 0),
    kept: passes.flatMap(({ refusals }) => refusals.map(({ node, reason }) => ({ name: node.id, reason }))),
  };
}

/** The records of pairs that stay, with the names that their weights have now. */
function recordsOf(model: Model, pairs: readonly Pair[]): PairRecord[] {
  const byName = new Map(model.graph.nodes.map((node) => [node.name, node]));
  return pairs.flatMap(({ record, factors }): PairRecord[] => {
    if (record === undefined) return [];
    const sourceOf = (layer: Pair['first'], fallback: string): string => {
      const value: Value | undefined = byName.get(layer.node.name)?.inputs[layer.weightInput];
      return (value === undefined ? undefined : resolveWeight(model.graph, value))?.source.name ?? fallback;
    };
    return [{ ...record, factors: factors.map((layer, at) => sourceOf(layer, record.factors[at]!)) }];
  });
}

async function countsOf(
  path: string,
  prepare: (path: string) => ReturnType<typeof prepareModel>,
): Promise<{ readonly params: number; readonly macs: number }> {
  const { model, shapes } = await prepare(path);
  try {
    return { params: countParameters(model.graph), macs: countMacs(model.graph, shapes) };
  } finally {
    model.file?.close();
  }
}

/**
 * Largest relative difference of the outputs that is rounding. float32: 1e-4, hundreds of roundings of 2⁻²⁴ through a deep
 * network. Weights of 16 bits are rounded anew when they are multiplied or scaled: 32 units of roundoff, 2⁻¹¹ in float16
 * and 2⁻⁸ in bfloat16.
 */
function toleranceOf(layers: readonly Layer[]): number {
  const types = new Set(layers.map((layer) => (layer.kind === 'factorizable' ? layer.weight.dataType : FLOAT)));
  if (types.has(BFLOAT16)) return 32 * 2 ** -8;
  return types.has(FLOAT16) ? 32 * 2 ** -11 : 1e-4;
}

function requireSame({ relativeDiff }: Verification, tolerance: number): void {
  if (relativeDiff <= tolerance) return;
  const numbers = `${relativeDiff.toExponential(1)} of the largest output, more than ${tolerance.toExponential(1)}`;
  throw new LowrankError('VERIFY', `the merged model differs from the original by ${numbers}`, {
    remedy: 'try --no-fold-batch-normalization, or leave out --all; nothing was written',
  });
}

/** `isShared`: its weights are those of an earlier pair, where they are counted. */
function describeMerge(pair: Pair, isShared: boolean): MergedPair {
  const { params, macs } = pairCounts(pair);
  const bias = pair.last.biasCount;
  return {
    name: pair.name,
    label: pair.label,
    op: pair.op,
    scheme: pair.scheme,
    rank: pair.rank,
    recognizedBy: pair.recognizedBy,
    params: isShared ? { before: bias, after: bias } : { before: params.pair, after: params.single },
    macs: { before: macs.pair, after: macs.single },
  };
}
