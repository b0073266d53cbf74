import { LowrankError } from '../errors.js';
import type { Model } from '../graph/model.js';
import type { Node } from '../graph/node.js';
import type { Scheme } from '../contracts/convert.js';
import {
  channelsOf,
  fullMacs,
  type Geometry,
  groupsOf,
  kernelSizes,
  largestRank,
  matrixShape,
  weightCount,
} from './geometry.js';
import { pairLabel } from './layer-label.js';
import { type FactorizableLayer, isConvolution, type Layer } from './layers.js';
import { type PairRecord, readPairs } from './pairs.js';
import { schemes } from './schemes/index.js';
import { factorGeometries, joined, type Pair } from './joined-layers.js';

export interface FoundPairs {
  /** In graph order of their first layers. No layer is in two of them. */
  readonly pairs: readonly Pair[];
  /** Layers of three and more linear factors in a row (Tucker and CP forms) that nothing records, which are no pairs, with that as the reason. */
  readonly chained: ReadonlyMap<Layer, string>;
  /** What the metadata claim and the graph does not bear out. */
  readonly warnings: readonly string[];
}

/**
 * Finds the low-rank pairs of a model: those that its metadata record, as far as the graph bears them out, then those that
 * have the structure of one. A pair by structure is two convolutions of as many groups (or two products) where the first has no
 * bias, nothing but the second reads its result, nothing but Identity lies between, along each axis of the window only one
 * of them acts, and the width between them is less than the rank that the product could have. `layers` are those of
 * `findLayers`. With `atMost`, a pair by structure also leaves at most this share of its product's parameters and
 * multiply-accumulates: `clearlyCheaper` tells pairs that were made to save from layers that a network has anyway.
 */
export function findPairs(model: Model, layers: readonly Layer[], atMost?: number): FoundPairs {
  const byNode = new Map(layers.map((layer) => [layer.node, layer]));
  const warnings: string[] = [];
  const recorded = recordedPairs(model, layers, byNode, warnings);
  const taken = new Set(recorded.flatMap(({ factors }) => factors));
  const candidates = layers.flatMap((layer): Pair[] => {
    const pair = taken.has(layer as FactorizableLayer) ? undefined : joined(layer, byNode);
    if (typeof pair !== 'object' || taken.has(pair.last)) return [];
    return pair.rank < maxRankOf(pair) && (atMost === undefined || isWithin(pair, atMost)) ? [pair] : [];
  });
  const chained = chainsOf(candidates);
  const pairs = [...recorded, ...candidates.filter(({ factors }) => !factors.some((factor) => chained.has(factor)))];
  const position = new Map(layers.map((layer, index) => [layer, index]));
  pairs.sort((a, b) => position.get(a.first)! - position.get(b.first)!);
  return { pairs, chained, warnings };
}

/** An EfficientNet's head, 1152 → 320 → 1280, leaves more of its product. */
export const clearlyCheaper = 0.5;

function isWithin(pair: Pair, share: number): boolean {
  const { params, macs } = pairCounts(pair);
  return params.pair <= share * params.single && macs.pair <= share * macs.single;
}

/** The largest rank that the product of the pair could have. */
export function maxRankOf({ matrix }: Pick<Pair, 'matrix'>): number {
  return Math.min(matrix.rows, matrix.cols);
}

/** Parameters and MACs of the pair and of the one layer that it stands for, bias included. */
export interface PairCounts {
  readonly params: { readonly single: number; readonly pair: number };
  readonly macs: { readonly single: number; readonly pair: number };
  /** Largest rank at which this kind of pair has fewer parameters and fewer MACs; 0 where there is none. */
  readonly breakEvenRank: number;
}

export function pairCounts(pair: Pair): PairCounts {
  const { factors, geometry } = pair;
  const geometries = factorGeometries(pair);
  const weights = factors.reduce((sum, factor) => sum + weightCount(factor.geometry), 0);
  const macs = factors.reduce((sum, factor) => sum + fullMacs(factor.geometry), 0);
  const bias = pair.last.biasCount;
  const single = { params: weightCount(geometry), macs: fullMacs(geometry) };
  const atRank = (rank: number): Geometry[] =>
    geometries.map((own, at) => {
      const between = rank * groupsOf(own);
      const [inputs, out] = [at === 0 ? own.in : between, at === factors.length - 1 ? own.out : between];
      return Object.assign({}, own, { in: inputs, out });
    });
  const isLess = (rank: number, count: (own: Geometry) => number, than: number): boolean =>
    atRank(rank).reduce((sum, own) => sum + count(own), 0) < than;
  return {
    params: { single: single.params + bias, pair: weights + bias },
    macs: { single: single.macs, pair: macs },
    breakEvenRank: largestRank(
      maxRankOf(pair),
      (rank) => isLess(rank, weightCount, single.params) && isLess(rank, fullMacs, single.macs),
    ),
  };
}

/** The pairs that the metadata record and the graph bears out; what it does not bear out is a warning. */
function recordedPairs(
  model: Model,
  layers: readonly Layer[],
  byNode: ReadonlyMap<Node, Layer>,
  warnings: string[],
): Pair[] {
  let records: readonly PairRecord[];
  try {
    records = readPairs(model);
  } catch (error) {
    if (!(error instanceof LowrankError)) throw error;
    warnings.push(`${error.fact}: pairs are recognized by their structure`);
    return [];
  }
  const byName = new Map(layers.map((layer) => [layer.node.name, layer]));
  const taken = new Set<Layer>();
  const pairs: Pair[] = [];
  const stale: string[] = [];
  for (const record of records) {
    const pair = recordedPair(record, byName, byNode);
    if (typeof pair === 'string') stale.push(`'${record.name}': ${pair}`);
    else if (pair.factors.some((factor) => taken.has(factor))) stale.push(`'${record.name}': recorded twice`);
    else {
      for (const factor of pair.factors) taken.add(factor);
      pairs.push(pair);
    }
  }
  if (stale.length > 0) {
    const more = stale.length > 1 ? `, and ${stale.length - 1} more` : '';
    warnings.push(`the metadata record pairs that are not in the graph (any more): ${stale[0]}${more}`);
  }
  return pairs;
}

/** The pair of a record, or what is wrong with it. */
function recordedPair(
  record: PairRecord,
  byName: ReadonlyMap<string, Layer>,
  byNode: ReadonlyMap<Node, Layer>,
): Pair | string {
  const layers: Layer[] = [];
  for (const name of record.nodes) {
    const layer = byName.get(name);
    if (layer === undefined) return `there is no layer '${name}'`;
    layers.push(layer);
  }
  const pair = joined(layers[0]!, byNode, layers.length);
  if (typeof pair === 'string') return pair;
  const astray = pair.factors.findIndex((factor, at) => factor !== layers[at]);
  if (astray > 0) return `'${layers[astray - 1]!.label}' does not lead to '${layers[astray]!.label}'`;
  const claim = [record.rank, record.in, record.out, ...(record.kernel ?? [])].join(', ');
  const channels = channelsOf(pair.geometry);
  const fact = [pair.rank, channels.in, channels.out, ...kernelSizes(pair.geometry)].join(', ');
  if (claim !== fact) return `it records rank, in, out and kernel ${claim} where there is ${fact}`;
  const scheme = isPossible(record.scheme, pair) ? record.scheme : pair.scheme;
  const label = pairLabel(record.name, pair.op, pair.first.label);
  return { ...pair, name: record.name, label, recognizedBy: 'metadata', record, scheme };
}

/** A 1×kw → 1×1 pair is both spatial and channel: the record knows which one was meant. */
function isPossible(scheme: Scheme, { factors, form, geometry, matrix }: Pair): boolean {
  if (!Object.hasOwn(schemes, scheme)) return false;
  const rule = schemes[scheme];
  if (rule.factors.length !== factors.length || !rule.appliesTo(geometry, !isConvolution(form))) return false;
  const { rows, cols } = matrixShape(geometry, scheme);
  return matrix.rows === rows && matrix.cols === cols;
}

/** Layers of candidates that share a layer with another candidate. */
function chainsOf(candidates: readonly Pair[]): Map<Layer, string> {
  const next = new Map(candidates.map(({ first, last }) => [first, last]));
  const seconds = new Set(next.values());
  const chained = new Map<Layer, string>();
  for (const { first } of candidates) {
    if (seconds.has(first)) continue;
    const chain: FactorizableLayer[] = [first];
    for (let layer = next.get(first); layer !== undefined; layer = next.get(layer)) chain.push(layer);
    if (chain.length === 2) continue;
    const reason = `one of ${chain.length} linear layers in a row (${chain[0]!.label} to ${chain.at(-1)!.label}), which are no pair`;
    for (const layer of chain) chained.set(layer, reason);
  }
  return chained;
}
