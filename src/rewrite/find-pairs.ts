import { LowrankError } from '../errors.js';
import type { Model } from '../graph/model.js';
import type { Node } from '../graph/node.js';
import type { Scheme } from '../contracts/convert.js';
import { fullMacs, type Geometry, largestRank, matrixShape, type MatrixShape, weightCount } from './geometry.js';
import { pairLabel } from './layer-label.js';
import type { FactorizableLayer, Layer, LayerForm } from './layers.js';
import { axisWindows, type AxisWindows, combineWindows } from './pair-window.js';
import { type PairRecord, readPairs } from './pairs.js';
import { schemeNames, schemes } from './schemes/index.js';

/** Layers in a row, two or more, that compute what one layer with a weight of low rank computes. */
export interface Pair {
  /** Name of the layer that it replaced; "first + second" where nothing records it. */
  readonly name: string;
  /** The same by the names that people are shown. */
  readonly label: string;
  readonly recognizedBy: 'metadata' | 'structure';
  /** What the metadata say; undefined for pairs recognized by their structure. */
  readonly record: PairRecord | undefined;
  /** In the order in which they are applied. */
  readonly factors: readonly FactorizableLayer[];
  /** Applied to the input. */
  readonly first: FactorizableLayer;
  /** Gives the output: the bias is its own. */
  readonly last: FactorizableLayer;
  /** Identity nodes between them. */
  readonly between: readonly Node[];
  /** The one layer that the pair stands for. */
  readonly op: PairRecord['op'];
  readonly form: LayerForm;
  readonly geometry: Geometry;
  /** Windows of that layer; undefined for dense layers. */
  readonly windows: AxisWindows | undefined;
  readonly scheme: Scheme;
  readonly rank: number;
  /** Of the product, with rows (out, the last window) and columns (in, the other windows), whatever the order in which the window is split. */
  readonly matrix: MatrixShape;
}

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
 * have the structure of one. A pair by structure is two convolutions of group 1 (or two products) where the first has no
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
  const weights = factors.reduce((sum, factor) => sum + weightCount(factor.geometry), 0);
  const macs = factors.reduce((sum, factor) => sum + fullMacs(factor.geometry), 0);
  const bias = pair.last.biasCount;
  const single = { params: weightCount(geometry), macs: fullMacs(geometry) };
  const atRank = (rank: number): Geometry[] =>
    factors.map(({ geometry: { kernel, inputSize, outputSize, batch, ...ends } }, at) => {
      const [inputs, out] = [at === 0 ? ends.in : rank, at === factors.length - 1 ? ends.out : rank];
      return { out, in: inputs, kernel, inputSize, outputSize, batch };
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
  const fact = [pair.rank, pair.geometry.in, pair.geometry.out, ...pair.geometry.kernel].join(', ');
  if (claim !== fact) return `it records rank, in, out and kernel ${claim} where there is ${fact}`;
  const scheme = isPossible(record.scheme, pair) ? record.scheme : pair.scheme;
  const label = pairLabel(record.name, pair.op, pair.first.label);
  return { ...pair, name: record.name, label, recognizedBy: 'metadata', record, scheme };
}

/** A 1×kw → 1×1 pair is both spatial and channel: the record knows which one was meant. */
function isPossible(scheme: Scheme, { factors, form, geometry, matrix }: Pair): boolean {
  if (!Object.hasOwn(schemes, scheme)) return false;
  const rule = schemes[scheme];
  if (rule.factors.length !== factors.length || !rule.appliesTo(geometry, form !== 'conv')) return false;
  const { rows, cols } = matrixShape(geometry, scheme);
  return matrix.rows === rows && matrix.cols === cols;
}

/** The scheme of so many factors that splits the window among as many as these do, whatever their order; undefined where there is none. */
function schemeOf(factors: readonly FactorizableLayer[], isDense: boolean): Scheme | undefined {
  const hasWindow = ({ geometry: { kernel } }: FactorizableLayer): boolean => kernel[0] > 1 || kernel[1] > 1;
  const parts = Math.max(isDense ? 0 : 1, factors.filter(hasWindow).length);
  return schemeNames().find((name) => {
    const own = schemes[name].factors;
    return own.length === factors.length && own.filter(({ window }) => window.includes(true)).length === parts;
  });
}

/** The layer joined with those that read its result, `count` in all, if they make one linear layer; else why not. */
function joined(first: Layer, byNode: ReadonlyMap<Node, Layer>, count = 2): Pair | string {
  if (first.kind === 'fixed') return `'${first.label}': ${first.reason}`;
  const factors = [first];
  const between: Node[] = [];
  while (factors.length < count) {
    const next = follower(factors.at(-1)!, byNode, between);
    if (typeof next === 'string') return next;
    factors.push(next);
  }
  return factors.every(({ form }) => form === 'conv')
    ? joinedConvs(factors, between)
    : joinedProducts(factors, between);
}

/** The layer that reads what this one gives and nothing else does, Identities `between` them; else why there is none. */
function follower(
  layer: FactorizableLayer,
  byNode: ReadonlyMap<Node, Layer>,
  between: Node[],
): FactorizableLayer | string {
  if (layer.node.inputs[2] !== undefined) return `'${layer.label}' has a bias`;
  let value = layer.node.outputs[0];
  for (;;) {
    const [use, ...others] = value?.uses ?? [];
    if (value === undefined || use === undefined || others.length > 0 || value.isOutput || use.index < 0) {
      return `the result of '${layer.label}' is read elsewhere`;
    }
    if (!use.node.is('Identity')) {
      const next = byNode.get(use.node);
      if (next === undefined) return `the result of '${layer.label}' goes to ${use.node.label}`;
      if (next.kind === 'fixed') return `'${next.label}': ${next.reason}`;
      if (use.index === next.weightInput || use.index > 1) return `'${next.label}' does not multiply its result`;
      return next;
    }
    between.push(use.node);
    value = use.node.outputs[0];
  }
}

function joinedConvs(factors: readonly FactorizableLayer[], between: readonly Node[]): Pair | string {
  const [first, ...others] = factors as [FactorizableLayer, ...FactorizableLayer[]];
  const windowsOf = ({ node, geometry }: FactorizableLayer): AxisWindows => axisWindows(node, geometry.kernel);
  let windows = windowsOf(first);
  for (const [at, factor] of others.entries()) {
    const both = combineWindows(windows, windowsOf(factor));
    if (both === undefined) return `'${factors[at]!.label}' and '${factor.label}' act along the same axis`;
    windows = both;
  }
  const last = factors.at(-1)!;
  const geometry: Geometry = {
    out: last.geometry.out,
    in: first.geometry.in,
    kernel: [windows[0].kernel, windows[1].kernel],
    inputSize: first.geometry.inputSize,
    outputSize: last.geometry.outputSize,
    batch: first.geometry.batch,
  };
  const scheme = schemeOf(factors, false);
  if (scheme === undefined) return `no scheme is '${first.label}' to '${last.label}'`;
  const areas = factors.map(({ geometry: { kernel } }) => kernel[0] * kernel[1]);
  const area = areas.at(-1)!;
  return {
    ...structural(factors, between),
    op: 'Conv',
    form: 'conv',
    geometry,
    windows,
    scheme,
    matrix: {
      rows: geometry.out * area,
      cols: areas.slice(0, -1).reduce((product, own) => product * own, geometry.in),
      rowsPerNeuron: area,
    },
  };
}

function joinedProducts(factors: readonly FactorizableLayer[], between: readonly Node[]): Pair | string {
  const first = factors[0]!;
  const isLeft = ({ form }: FactorizableLayer): boolean => form === 'matmul-left';
  for (const [at, factor] of factors.slice(1).entries()) {
    const before = factors[at]!;
    if (before.form === 'conv' || factor.form === 'conv' || isLeft(before) !== isLeft(factor)) {
      return `'${before.label}' and '${factor.label}' multiply along different axes`;
    }
    if (factor.node.int('transA', 0) !== 0) return `'${factor.label}' transposes the result of '${before.label}'`;
  }
  const last = factors.at(-1)!;
  const geometry: Geometry = { ...last.geometry, in: first.geometry.in };
  const scheme = schemeOf(factors, true);
  if (scheme === undefined) return `no scheme is '${first.label}' to '${last.label}'`;
  // A Gemm before is needed only for its transposed input.
  const isGemm = last.form === 'gemm' || first.node.int('transA', 0) !== 0;
  return {
    ...structural(factors, between),
    op: isGemm ? 'Gemm' : 'MatMul',
    form: isGemm ? 'gemm' : last.form,
    geometry,
    windows: undefined,
    scheme,
    matrix: { rows: geometry.out, cols: geometry.in, rowsPerNeuron: 1 },
  };
}

function structural(
  factors: readonly FactorizableLayer[],
  between: readonly Node[],
): Pick<Pair, 'name' | 'label' | 'recognizedBy' | 'record' | 'factors' | 'first' | 'last' | 'between' | 'rank'> {
  return {
    name: factors.map(({ name }) => name).join(' + '),
    label: factors.map(({ label }) => label).join(' + '),
    recognizedBy: 'structure',
    record: undefined,
    factors,
    first: factors[0]!,
    last: factors.at(-1)!,
    between,
    rank: Math.min(...factors.slice(0, -1).map(({ geometry }) => geometry.out)),
  };
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
