import { LowrankError } from '../errors.js';
import type { Model } from '../graph/model.js';
import type { Node } from '../graph/node.js';
import type { Scheme } from '../contracts/convert.js';
import { fullMacs, type Geometry, type MatrixShape, weightCount } from './geometry.js';
import { pairLabel } from './layer-label.js';
import type { FactorizableLayer, Layer, LayerForm } from './layers.js';
import { axisWindows, type AxisWindows, combineWindows } from './pair-window.js';
import { type PairRecord, readPairs } from './pairs.js';

/** Two layers in a row that compute what one layer with a weight of low rank computes. */
export interface Pair {
  /** Name of the layer that it replaced; "first + second" where nothing records it. */
  readonly name: string;
  /** The same by the names that people are shown. */
  readonly label: string;
  readonly recognizedBy: 'metadata' | 'structure';
  /** What the metadata say; undefined for pairs recognized by their structure. */
  readonly record: PairRecord | undefined;
  /** Applied to the input. */
  readonly first: FactorizableLayer;
  /** Applied to the result of `first`. */
  readonly second: FactorizableLayer;
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
  /** Of the product second · first, whatever the order in which the window is split. */
  readonly matrix: MatrixShape;
}

export interface FoundPairs {
  /** In graph order of their first layers. No layer is in two of them. */
  readonly pairs: readonly Pair[];
  /** Layers of three and more linear factors in a row (Tucker and CP forms), which are no pairs, with that as the reason. */
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
  const taken = new Set(recorded.flatMap(({ first, second }) => [first, second]));
  const candidates = layers.flatMap((layer): Pair[] => {
    const pair = taken.has(layer as FactorizableLayer) ? undefined : joined(layer, byNode);
    if (typeof pair !== 'object' || taken.has(pair.second)) return [];
    return pair.rank < maxRankOf(pair) && (atMost === undefined || isWithin(pair, atMost)) ? [pair] : [];
  });
  const chained = chainsOf(candidates);
  const pairs = [...recorded, ...candidates.filter(({ first, second }) => !chained.has(first) && !chained.has(second))];
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
  const { first, second, geometry, rank } = pair;
  const weights = weightCount(first.geometry) + weightCount(second.geometry);
  const macs = fullMacs(first.geometry) + fullMacs(second.geometry);
  const bias = second.biasCount;
  const single = { params: weightCount(geometry), macs: fullMacs(geometry) };
  const byParams = Math.ceil((single.params * rank) / weights) - 1;
  const byMacs = Math.ceil((single.macs * rank) / macs) - 1;
  return {
    params: { single: single.params + bias, pair: weights + bias },
    macs: { single: single.macs, pair: macs },
    breakEvenRank: Math.max(0, Math.min(byParams, byMacs, maxRankOf(pair))),
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
    else if (taken.has(pair.first) || taken.has(pair.second)) stale.push(`'${record.name}': recorded twice`);
    else {
      taken.add(pair.first).add(pair.second);
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
  const [first, second] = record.nodes.map((name) => byName.get(name));
  if (first === undefined) return `there is no layer '${record.nodes[0]}'`;
  if (second === undefined) return `there is no layer '${record.nodes[1]}'`;
  const pair = joined(first, byNode);
  if (typeof pair === 'string') return pair;
  if (pair.second !== second) return `'${first.label}' does not lead to '${second.label}'`;
  const claim = [record.rank, record.in, record.out, ...(record.kernel ?? [])].join(', ');
  const fact = [pair.rank, pair.geometry.in, pair.geometry.out, ...pair.geometry.kernel].join(', ');
  if (claim !== fact) return `it records rank, in, out and kernel ${claim} where there is ${fact}`;
  const scheme = isPossible(record.scheme, pair) ? record.scheme : pair.scheme;
  const label = pairLabel(record.name, pair.op, first.label);
  return { ...pair, name: record.name, label, recognizedBy: 'metadata', record, scheme };
}

/** A 1×kw → 1×1 pair is both spatial and channel: the record knows which one was meant. */
function isPossible(scheme: Scheme, { form, geometry, matrix }: Pair): boolean {
  if (form !== 'conv') return scheme === 'dense';
  const [kh, kw] = geometry.kernel;
  const rows = scheme === 'spatial' ? geometry.out * kh : geometry.out;
  const cols = scheme === 'spatial' ? geometry.in * kw : geometry.in * kh * kw;
  return scheme !== 'dense' && matrix.rows === rows && matrix.cols === cols;
}

/** The layer joined with the one that reads its result, if both make one linear layer; else why not. */
function joined(first: Layer, byNode: ReadonlyMap<Node, Layer>): Pair | string {
  if (first.kind === 'fixed') return `'${first.label}': ${first.reason}`;
  if (first.node.inputs[2] !== undefined) return `'${first.label}' has a bias`;
  const between: Node[] = [];
  let value = first.node.outputs[0];
  for (;;) {
    const [use, ...others] = value?.uses ?? [];
    if (value === undefined || use === undefined || others.length > 0 || value.isOutput || use.index < 0) {
      return `the result of '${first.label}' is read elsewhere`;
    }
    if (!use.node.is('Identity')) {
      const second = byNode.get(use.node);
      if (second === undefined) return `the result of '${first.label}' goes to ${use.node.label}`;
      if (second.kind === 'fixed') return `'${second.label}': ${second.reason}`;
      if (use.index === second.weightInput || use.index > 1) return `'${second.label}' does not multiply its result`;
      return first.form === 'conv' && second.form === 'conv'
        ? joinedConvs(first, second, between)
        : joinedProducts(first, second, between);
    }
    between.push(use.node);
    value = use.node.outputs[0];
  }
}

function joinedConvs(first: FactorizableLayer, second: FactorizableLayer, between: readonly Node[]): Pair | string {
  const [a, b] = [first, second].map(({ node, geometry }) => axisWindows(node, geometry.kernel)) as [
    AxisWindows,
    AxisWindows,
  ];
  const windows = combineWindows(a, b);
  if (windows === undefined) return `'${first.label}' and '${second.label}' act along the same axis`;
  const [firstKernel, secondKernel] = [first.geometry.kernel, second.geometry.kernel];
  const geometry: Geometry = {
    out: second.geometry.out,
    in: first.geometry.in,
    kernel: [windows[0].kernel, windows[1].kernel],
    inputSize: first.geometry.inputSize,
    outputSize: second.geometry.outputSize,
    batch: first.geometry.batch,
  };
  const isPointwise = ([kh, kw]: readonly [number, number]): boolean => kh === 1 && kw === 1;
  const scheme = isPointwise(firstKernel) || isPointwise(secondKernel) ? 'channel' : 'spatial';
  const area = secondKernel[0] * secondKernel[1];
  return {
    ...structural(first, second, between),
    op: 'Conv',
    form: 'conv',
    geometry,
    windows,
    scheme,
    matrix: {
      rows: geometry.out * area,
      cols: geometry.in * firstKernel[0] * firstKernel[1],
      rowsPerNeuron: area,
    },
  };
}

function joinedProducts(first: FactorizableLayer, second: FactorizableLayer, between: readonly Node[]): Pair | string {
  const isLeft = ({ form }: FactorizableLayer): boolean => form === 'matmul-left';
  if (first.form === 'conv' || second.form === 'conv' || isLeft(first) !== isLeft(second)) {
    return `'${first.label}' and '${second.label}' multiply along different axes`;
  }
  if (second.node.int('transA', 0) !== 0) return `'${second.label}' transposes the result of '${first.label}'`;
  const geometry: Geometry = { ...second.geometry, in: first.geometry.in };
  // A Gemm before is needed only for its transposed input.
  const isGemm = second.form === 'gemm' || first.node.int('transA', 0) !== 0;
  return {
    ...structural(first, second, between),
    op: isGemm ? 'Gemm' : 'MatMul',
    form: isGemm ? 'gemm' : second.form,
    geometry,
    windows: undefined,
    scheme: 'dense',
    matrix: { rows: geometry.out, cols: geometry.in, rowsPerNeuron: 1 },
  };
}

function structural(
  first: FactorizableLayer,
  second: FactorizableLayer,
  between: readonly Node[],
): Pick<Pair, 'name' | 'label' | 'recognizedBy' | 'record' | 'first' | 'second' | 'between' | 'rank'> {
  return {
    name: `${first.name} + ${second.name}`,
    label: `${first.label} + ${second.label}`,
    recognizedBy: 'structure',
    record: undefined,
    first,
    second,
    between,
    rank: first.geometry.out,
  };
}

/** Layers of candidates that share a layer with another candidate. */
function chainsOf(candidates: readonly Pair[]): Map<Layer, string> {
  const next = new Map(candidates.map(({ first, second }) => [first, second]));
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
