import { requireRank, usualMost } from '../adapt/choose-layers.js';
import { withCores } from '../adapt/cores.js';
import { adaptedLayers, type AdaptedLayer, fullRank } from '../adapt/layers.js';
import type { LayerFactors } from '../adapt/factors.js';
import { capacityOf, type RankRule, requireReachable, sizeOf, type SizeTarget } from '../adapt/ranks.js';
import { withRoles } from '../adapt/roles.js';
import { type AdaptSettings, usualTolerance } from '../adapt/settings.js';
import { factorsOfModel, startPairs } from '../adapt/start.js';
import { basisNames, namesOf } from '../adapt/state.js';
import type { Kept } from '../contracts/convert.js';
import { LowrankError } from '../errors.js';
import { readModel } from '../graph/read.js';
import { modelBytes } from '../graph/write.js';
import { createLinalg } from '../linalg/linalg.js';
import type { Linalg } from '../linalg/types.js';
import { inferShapes } from '../ops/infer.js';
import { countMacs, countParameters } from '../rewrite/count.js';
import type { Driver } from '../runtime/types.js';
import type { Prepared } from '../step/prepare.js';
import type { TrainSettings } from './options.js';
import type { Closers } from './session.js';

/** The layers of a training whose ranks are found, and how. */
export interface Adaptation {
  /** The model with pairs: what trained weights are put into, with pairs of other ranks. */
  readonly source: Uint8Array;
  readonly layers: readonly AdaptedLayer[];
  /** Of the model, for shapes: one image. */
  readonly inputShapes: Readonly<Record<string, readonly number[]>>;
  /** The other layers, and why they stay as they are. */
  readonly kept: readonly Kept[];
  /** What they begin with. */
  readonly start: readonly LayerFactors[];
  readonly rule: RankRule;
  /** Parameters and MACs of one image that no rank changes, and of the model with every adapted layer in one piece. */
  readonly fixed: { readonly params: number; readonly macs: number };
  readonly whole: { readonly params: number; readonly macs: number };
  readonly linalg: Linalg;
}

/** What of a training decides which layers are adapted, and how. */
export type AdaptationSettings = AdaptSettings & Pick<TrainSettings, 'threads' | 'freeze'>;

/**
 * Finds the low-rank layers of a model, or makes them of its layers. Throws what `startPairs` and `adaptedLayers` throw, USAGE where the
 * target cannot be reached.
 */
export async function openAdaptation(
  source: string | Uint8Array,
  { images, imageDims }: Prepared,
  settings: AdaptationSettings,
  driver: Driver,
  signal: AbortSignal | undefined,
  closers: Closers,
): Promise<Adaptation> {
  const { threads, maxRank, minRank } = settings;
  const linalg = await createLinalg({ driver, ...(threads === null ? {} : { threads }) });
  closers.push(() => linalg.close());
  const model = readModel(source);
  try {
    const inputShapes = { [images.name]: [1, ...imageDims] };
    const shapes = () => inferShapes(model, { inputShapes });
    const kept = await startPairs(
      model,
      shapes(),
      { ...settings, startRank: settings.startRank ?? maxRank },
      linalg,
      signal,
    );
    const now = shapes();
    const layers = adaptedLayers(model, now);
    requireRank(layers, '--max-rank', maxRank);
    requireRank(layers, '--start-rank', settings.startRank);
    requireRank(layers, '--min-rank', minRank);
    const mostOf = (layer: AdaptedLayer): number =>
      Math.min(maxRank ?? Math.max(usualMost(layer.rows, layer.cols), minRank), fullRank(layer));
    const isFixed = settings.adaptRanks === 'kls-fixed';
    const start = await factorsOfModel(model, layers, isFixed ? ({ rank }) => rank : mostOf, linalg);
    const counts = { params: countParameters(model.graph), macs: countMacs(model.graph, now) };
    const outside = (of: 'params' | 'macs'): number =>
      layers.reduce((left, { rank, perRank }) => left - rank * perRank[of], counts[of]);
    const fixed = { params: outside('params'), macs: outside('macs') };
    const wholeOf = (of: 'params' | 'macs'): number => layers.reduce((sum, { whole }) => sum + whole[of], fixed[of]);
    const whole = { params: wholeOf('params'), macs: wholeOf('macs') };
    const ranks = start.map(({ core }) => core.rows);
    const rule: RankRule = {
      tolerance: settings.tolerance ?? usualTolerance,
      minRank,
      mostOf,
      target: targetOf(settings, layers, ranks, fixed, whole),
    };
    requireReachable(layers, rule);
    return { source: modelBytes(model), layers, inputShapes, kept, start, rule, fixed, whole, linalg };
  } finally {
    model.file?.close();
  }
}

function targetOf(
  { targetParams, targetMacs }: AdaptSettings,
  layers: readonly AdaptedLayer[],
  ranks: readonly number[],
  fixed: Adaptation['fixed'],
  whole: Adaptation['whole'],
): SizeTarget | undefined {
  const share = targetParams ?? targetMacs;
  if (share === null) return undefined;
  const of = targetParams === null ? 'macs' : 'params';
  const start = sizeOf(layers, ranks, { of, fixed: fixed[of] });
  return { of, whole: whole[of], fixed: fixed[of], start, most: share * whole[of] };
}

/** The largest rank that each layer may have between two cuts. */
export function largestRanks({ layers, rule, start }: Adaptation): number[] {
  return layers.map((layer, at) => Math.max(rule.mostOf(layer), start[at]!.core.rows));
}

/** The model that the states of a training are laid out for: layers have room for the largest rank, and for bases between two cuts. */
export function homeModel(adaptation: Adaptation, { adaptRanks }: Pick<AdaptSettings, 'adaptRanks'>): Uint8Array {
  const { source, layers } = adaptation;
  const ranks = largestRanks(adaptation);
  const capacities = layers.map((layer, at) => capacityOf(layer, ranks[at]!, adaptRanks === 'augmented').bases);
  return withCores(source, layers, capacities);
}

/** The model with its bases held. Throws USAGE where a factor is frozen. */
export function coefficientsOnly(prepared: Prepared, { layers }: Adaptation): Prepared {
  const trained = new Set(prepared.parameters.map(({ name }) => name));
  for (const layer of layers) {
    const missing = namesOf(layer).find((name) => !trained.has(name));
    if (missing === undefined) continue;
    throw new LowrankError('USAGE', `the rank of '${layer.label}' is to be found, but '${missing}' is not trained`, {
      place: '--freeze',
      remedy: `freeze less, or leave the layer as it is with --exclude '${layer.label}'`,
    });
  }
  const bases = basisNames(layers);
  return withRoles(prepared, ({ name }) => !bases.has(name));
}
