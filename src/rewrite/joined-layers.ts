import type { Node } from '../graph/node.js';
import type { Scheme } from '../contracts/convert.js';
import type { Geometry, MatrixShape } from './geometry.js';
import type { FactorizableLayer, Layer, LayerForm } from './layers.js';
import { axisWindows, type AxisWindows, combineWindows } from './pair-window.js';
import type { PairRecord } from './pairs.js';
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
export function joined(first: Layer, byNode: ReadonlyMap<Node, Layer>, count = 2): Pair | string {
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
