import { inWords, LowrankError, throwIfAborted } from '../errors.js';
import type { Calibrate } from '../factorize/calibration/types.js';
import { countMacs, countParameters } from '../rewrite/count.js';
import { findActivation } from '../rewrite/find-activation.js';
import { findPairs, maxRankOf, pairCounts } from '../rewrite/find-pairs.js';
import type { Pair } from '../rewrite/joined-layers.js';
import { channelsOf, kernelSizes, weightCount } from '../rewrite/geometry.js';
import { activationName, keptReport } from '../factorize/layer-report.js';
import { findLayers, isConvolution, type Layer } from '../rewrite/layers.js';
import { prepareModel, summarize } from '../rewrite/prepare.js';
import type { Graph } from '../graph/graph.js';
import type { Value } from '../graph/value.js';
import { checkedLimits, limitsOf, type LimitOptions } from '../limits.js';
import { createLinalg } from '../linalg/linalg.js';
import { fullRank, type InspectLayer, type InspectReport, type Spectrum } from '../contracts/inspect.js';
import { loadDriver } from '../runtime/driver.js';
import type { Driver } from '../runtime/types.js';
import { tool } from '../version.js';
import { findSensitivities } from './sensitivity.js';
import { sideBySide } from '../rewrite/side-by-side.js';
import { layerSpectrum, pairSpectrum } from './spectrum.js';

export interface InspectOptions extends LimitOptions {
  /** Singular values of every weight; default true. Without them no weight is read. */
  readonly spectrum?: boolean;
  /** Shapes of inputs with dynamic axes, by input name. */
  readonly inputShapes?: Readonly<Record<string, readonly number[]>>;
  /** Images that tell what the outputs feel of each layer: `calibration` or `syntheticCalibration` makes it. Default: none. */
  readonly calibrate?: Calibrate | undefined;
  /** Counts images of `calibrate`. */
  readonly onImages?: (done: number, total: number, detail: string) => void;
  /** Threads of onnxruntime; default: the machine's cores. */
  readonly threads?: number;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (progress: InspectProgress) => void;
  /** Default: the driver of this machine, loaded when it is needed. */
  readonly driver?: Driver;
}

/** Work units (matrix elements · smaller side): proportional to time. */
export interface InspectProgress {
  readonly done: number;
  readonly total: number;
  /** The layer that was finished. */
  readonly detail: string;
}

/** A line of the report: a pair, or a layer that is none. */
type Entry = { readonly kind: 'pair'; readonly pair: Pair } | { readonly kind: 'layer'; readonly layer: Layer };

/**
 * Describes the convolutions and dense layers of the model at `path`: sizes, ranks, what is factorized and how that was
 * recognized, and the spectra of the weights. A pair is one entry, at the place of its first layer: `before` is the layer
 * that it stands for, `after` is what it costs. Nothing is written; quantized and unknown layers are listed with a reason.
 *
 * Throws INPUT, FORMAT, EXTERNAL_DATA, GRAPH, SHAPE (the model), USAGE (input shapes), RUNTIME, ABORTED; with `calibrate`,
 * UNSUPPORTED where the model takes no images, NUMERIC for what is not finite on them, and what `calibrate` throws.
 */
export async function inspect(path: string, options: InspectOptions = {}): Promise<InspectReport> {
  let driver = options.driver;
  const getDriver = async (): Promise<Driver> => (driver ??= await loadDriver());
  const { model, shapes, warnings } = await prepareModel(path, {
    inputShapes: options.inputShapes ?? {},
    driver: getDriver,
    foldsWeights: true,
    opensAttention: true,
    limits: limitsOf(checkedLimits(options)),
    signal: options.signal,
  });
  try {
    throwIfAborted(options.signal);
    const { graph } = model;
    const layers = findLayers(graph, shapes);
    const found = findPairs(model, layers);
    warnings.push(...found.warnings);
    const entries = entriesOf(layers, found.pairs);
    const spectra =
      (options.spectrum ?? true)
        ? await findSpectra(entries, await getDriver(), warnings, options)
        : new Map<Entry, Spectrum>();
    const felt =
      options.calibrate === undefined
        ? undefined
        : await findSensitivities(model, shapes, layers, options.calibrate, {
            path,
            driver: await getDriver(),
            ...checkedLimits(options),
            threads: options.threads,
            signal: options.signal,
            ...(options.onImages === undefined ? {} : { onImages: options.onImages }),
          });
    warnings.push(...(felt?.warnings ?? []));
    const counted = new Set<Value>();
    return inWords<InspectReport>({
      schema: 'lowrank.inspect/1',
      tool,
      model: summarize(model, shapes, path),
      layers: entries.map((entry) => {
        const spectrum = spectra.get(entry) ?? null;
        return entry.kind === 'pair'
          ? pairReport(entry.pair, graph, counted, spectrum)
          : Object.assign(
              fullReport(entry.layer, graph, found.chained.get(entry.layer), spectrum),
              felt?.byName.get(entry.layer.name),
            );
      }),
      totals: { params: countParameters(graph), macs: countMacs(graph, shapes), pairs: found.pairs.length },
      ...(felt === undefined ? {} : { sensitivity: felt.report }),
      warnings,
    });
  } finally {
    model.file?.close();
  }
}

/** Every layer, in graph order, with the factors of a pair as one. */
function entriesOf(layers: readonly Layer[], pairs: readonly Pair[]): Entry[] {
  const byFirst = new Map<Layer, Pair>(pairs.map((pair) => [pair.first, pair]));
  const others = new Set<Layer>(pairs.flatMap(({ factors }) => factors.slice(1)));
  return layers.flatMap((layer): Entry[] => {
    const pair = byFirst.get(layer);
    if (pair !== undefined) return [{ kind: 'pair', pair }];
    return others.has(layer) ? [] : [{ kind: 'layer', layer }];
  });
}

async function findSpectra(
  entries: readonly Entry[],
  driver: Driver,
  warnings: string[],
  { signal, threads, onProgress }: InspectOptions,
): Promise<Map<Entry, Spectrum>> {
  const work = entries.filter((entry) => entry.kind === 'pair' || entry.layer.kind === 'factorizable');
  const total = work.reduce((sum, entry) => sum + costOf(entry), 0);
  const spectra = new Map<Entry, Spectrum>();
  if (work.length === 0) return spectra;
  const linalg = await createLinalg({ driver, ...(threads === undefined ? {} : { threads }) });
  let done = 0;
  try {
    const refusals = await sideBySide(
      work,
      sizeOf,
      async (entry): Promise<string | undefined> => {
        let refusal: string | undefined;
        try {
          spectra.set(entry, await spectrumOf(entry, linalg, signal));
        } catch (error) {
          // NaN and infinity in a weight are a finding of an inspection, not its end.
          if (!(error instanceof LowrankError) || error.code !== 'NUMERIC') throw error;
          refusal = `layer '${labelOf(entry)}' has no spectrum: ${error.fact}`;
        }
        done += costOf(entry);
        onProgress?.({ done, total, detail: labelOf(entry) });
        return refusal;
      },
      signal,
    );
    warnings.push(...refusals.filter((refusal) => refusal !== undefined));
  } finally {
    await linalg.close();
  }
  return spectra;
}

async function spectrumOf(
  entry: Entry,
  linalg: Parameters<typeof pairSpectrum>[1],
  signal: AbortSignal | undefined,
): Promise<Spectrum> {
  if (entry.kind === 'pair') return pairSpectrum(entry.pair, linalg, signal);
  if (entry.layer.kind === 'fixed') throw new LowrankError('INTERNAL', `'${entry.layer.name}' has no spectrum`);
  return layerSpectrum(entry.layer, linalg, signal);
}

function labelOf(entry: Entry): string {
  return entry.kind === 'pair' ? entry.pair.label : entry.layer.label;
}

/** Elements of the weights. */
function sizeOf(entry: Entry): number {
  if (entry.kind === 'layer') return weightCount(entry.layer.geometry);
  return entry.pair.factors.reduce((sum, { geometry }) => sum + weightCount(geometry), 0);
}

/** Operations, up to a factor: elements · smaller side of the matrix. */
function costOf(entry: Entry): number {
  if (entry.kind === 'pair') return sizeOf(entry) * entry.pair.rank;
  const { out, in: inputs, kernel } = entry.layer.geometry;
  return sizeOf(entry) * Math.min(out * kernel[0], inputs * kernel[1]);
}

function fullReport(layer: Layer, graph: Graph, chain: string | undefined, spectrum: Spectrum | null): InspectLayer {
  const reason = layer.kind === 'fixed' ? layer.reason : (chain ?? fullRank);
  return { ...keptReport(layer, reason, activationAfter(layer, graph)), spectrum, pair: null };
}

/** `counted` holds the weights of earlier pairs: a weight that several pairs share counts with the first of them. */
function pairReport(pair: Pair, graph: Graph, counted: Set<Value>, spectrum: Spectrum | null): InspectLayer {
  const { factors, last, geometry, record } = pair;
  const counts = pairCounts(pair);
  const isShared = factors.every(({ weight }) => counted.has(weight.source));
  for (const { weight } of factors) counted.add(weight.source);
  const kernels = factors.map((layer) => kernelSizes(layer.geometry).join('×')).join(' then ');
  const how = record === undefined ? 'recognized by its structure' : 'recorded in the metadata';
  const order = isConvolution(pair.form) ? `: ${kernels}` : '';
  const shared = isShared ? '; shares its weights with an earlier pair, where they are counted' : '';
  return {
    name: pair.name,
    label: pair.label,
    op: pair.op,
    kernel: kernelSizes(geometry),
    group: last.group,
    ...channelsOf(geometry),
    action: 'factorized',
    reason: `${how}${order}${shared}`,
    scheme: pair.scheme,
    rank: pair.rank,
    ...(pair.ranks.length > 1 ? { ranks: pair.ranks } : {}),
    maxRank: maxRankOf(pair),
    breakEvenRank: counts.breakEvenRank,
    init: record?.init ?? null,
    activation: activationAfter(last, graph),
    weightError: null,
    functionError: null,
    params: isShared
      ? { before: last.biasCount, after: last.biasCount }
      : { before: counts.params.single, after: counts.params.pair },
    macs: { before: counts.macs.single, after: counts.macs.pair },
    seconds: 0,
    spectrum,
    pair: { recognizedBy: pair.recognizedBy, nodes: factors.map(({ name }) => name) },
  };
}

function activationAfter(layer: Layer, graph: Graph): string {
  const output = layer.node.outputs[0];
  return output === undefined ? 'linear' : activationName(findActivation(graph, output).activation);
}
