import type { Node } from '../graph/node.js';
import type { Scheme } from '../contracts/convert.js';
import { sizeOf } from '../ops/support/layout.js';
import { channelsOf, type Geometry, kernelOf, type MatrixShape } from './geometry.js';
import { type FactorizableLayer, isConvolution, type Layer, type LayerForm } from './layers.js';
import { type AxisWindows, combineWindows, isIdle, layerWindows } from './pair-window.js';
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
  /** What lies before the last factor. */
  readonly rank: number;
  /** What lies between any two of them, in the order in which they are applied. */
  readonly ranks: readonly number[];
  /**
   * Of the product, with rows (out, the last window) and columns (in, the other windows), whatever the order in which the window is
   * split; of one group, and of a transposed convolution that of the convolution whose adjoint it is.
   */
  readonly matrix: MatrixShape;
}

/** The factors' sizes in the order of the product: of a transposed convolution the last one that is applied comes first. */
export function factorGeometries({ factors, form }: Pick<Pair, 'factors' | 'form'>): readonly Geometry[] {
  if (form !== 'conv-transposed') return factors.map(({ geometry }) => geometry);
  return factors.map(adjointGeometry).reverse();
}

/** Of the convolution whose adjoint it is: those of a transposed one are so already. */
function adjointGeometry({ geometry, form }: FactorizableLayer): Geometry {
  if (form === 'conv-transposed') return geometry;
  const { in: out, out: inputs, inputSize: outputSize, outputSize: inputSize } = geometry;
  return { ...geometry, out, in: inputs, inputSize, outputSize, isTransposed: true };
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
  return factors.every(({ form }) => isConvolution(form))
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
  let windows = layerWindows(first);
  for (const [at, factor] of others.entries()) {
    const before = factors[at]!;
    if (factor.group !== first.group) return `'${before.label}' and '${factor.label}' have other groups`;
    const both = combineWindows(windows, layerWindows(factor));
    if (both === undefined) return `'${before.label}' and '${factor.label}' act along the same axis`;
    windows = both;
  }
  const isTransposed = factors.some((factor) => factor.form === 'conv-transposed');
  const moving = factors.find((factor) => factor.form === 'conv' && !layerWindows(factor).every(isIdle));
  if (isTransposed && moving !== undefined) return `'${moving.label}' is a convolution beside a transposed one`;
  const form = isTransposed ? 'conv-transposed' : 'conv';
  const geometries = factorGeometries({ factors, form });
  const [start, end] = [geometries[0]!, geometries.at(-1)!];
  const geometry: Geometry = {
    ...end,
    in: start.in,
    ...kernelOf(windows.map(({ kernel }) => kernel)),
    inputSize: start.inputSize,
  };
  const isSplit = [0, 1].some((axis) => geometries.filter(({ kernel }) => kernel[axis]! > 1).length > 1);
  const scheme = isSplit ? undefined : schemeOf(factors, false);
  if (scheme === undefined) return `no scheme is '${first.label}' to '${factors.at(-1)!.label}'`;
  const areas = geometries.map(({ kernel }) => sizeOf(kernel));
  const area = areas.at(-1)!;
  return {
    ...structural(factors, between),
    op: isTransposed ? 'ConvTranspose' : 'Conv',
    form,
    geometry,
    windows,
    scheme,
    matrix: {
      rows: (geometry.out / first.group) * area,
      cols: areas.slice(0, -1).reduce((all, own) => all * own, geometry.in / first.group),
      rowsPerNeuron: area,
    },
  };
}

function joinedProducts(factors: readonly FactorizableLayer[], between: readonly Node[]): Pair | string {
  const first = factors[0]!;
  const isLeft = ({ form }: FactorizableLayer): boolean => form === 'matmul-left';
  for (const [at, factor] of factors.slice(1).entries()) {
    const before = factors[at]!;
    if (isConvolution(before.form) || isConvolution(factor.form) || isLeft(before) !== isLeft(factor)) {
      return `'${before.label}' and '${factor.label}' multiply along different axes`;
    }
    if (String(before.geometry.stack) !== String(factor.geometry.stack)) {
      return `'${before.label}' and '${factor.label}' are not as many products`;
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
    matrix: { rows: geometry.out / first.group, cols: geometry.in / first.group, rowsPerNeuron: 1 },
  };
}

function structural(
  factors: readonly FactorizableLayer[],
  between: readonly Node[],
): Pick<
  Pair,
  'name' | 'label' | 'recognizedBy' | 'record' | 'factors' | 'first' | 'last' | 'between' | 'rank' | 'ranks'
> {
  const widths = factors.slice(0, -1).map((factor) => channelsOf(factor.geometry).out / factor.group);
  return {
    name: factors.map(({ name }) => name).join(' + '),
    label: factors.map(({ label }) => label).join(' + '),
    recognizedBy: 'structure',
    record: undefined,
    factors,
    first: factors[0]!,
    last: factors.at(-1)!,
    between,
    rank: widths.at(-1)!,
    ranks: widths,
  };
}
