import { groupsOf } from '../rewrite/geometry.js';
import { findLayers } from '../rewrite/layers.js';
import { isOutputMajor } from '../rewrite/layout.js';
import { findPairs } from '../rewrite/find-pairs.js';
import type { Pair } from '../rewrite/joined-layers.js';
import type { Model } from '../graph/model.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import type { Emitter } from '../ops/emitter.js';
import type { ShapeTable } from '../ops/infer.js';

/** The weights of a low-rank layer, whose product is its full-rank weight. */
export interface FactorPair {
  /** Name of the layer that the factors replaced. */
  readonly name: string;
  /** In the order in which they are applied, two at least. */
  readonly factors: readonly StoredFactor[];
}

/** An initializer that is a factor: a kernel [out, in, kh, kw], or a matrix [out, in] of a dense layer. */
interface StoredFactor {
  readonly value: Value;
  /** Dense layers: whether it is stored as [in, out]. */
  readonly isTransposed: boolean;
}

export type FactorPairs = readonly FactorPair[];

/** The pairs of a model whose factors are all trained as they are stored; each once, however many layers share it. */
export function findFactorPairs(
  model: Model,
  shapes: ShapeTable,
  trained: ReadonlySet<Value>,
): { readonly pairs: FactorPairs; readonly warnings: readonly string[] } {
  const { pairs, warnings } = findPairs(model, findLayers(model.graph, shapes));
  // What decays is the product of two matrices: of groups it is none, of a transposed convolution another.
  const hasProduct = ({ form, geometry }: Pair): boolean => form !== 'conv-transposed' && groupsOf(geometry) === 1;
  const others = pairs.filter((pair) => !hasProduct(pair));
  const left = others.length === 0 ? [] : [leftOut(others)];
  const seen = new Set<Value>();
  const found = pairs.filter(hasProduct).flatMap((pair): FactorPair[] => {
    const isConv = pair.form === 'conv';
    const isStored = pair.factors.every(({ weight }) => weight.chain.every((node) => !isConv && isSwap(node)));
    const output = pair.last.weight.source;
    if (!isStored || seen.has(output) || !pair.factors.every(({ weight }) => trained.has(weight.source))) return [];
    seen.add(output);
    const factors = pair.factors.map((layer): StoredFactor => ({
      value: layer.weight.source,
      isTransposed: !isConv && !isStoredByOutput(layer),
    }));
    return [{ name: pair.name, factors }];
  });
  return { pairs: found, warnings: [...warnings, ...left] };
}

function leftOut(pairs: readonly Pair[]): string {
  const which = pairs.length === 1 ? 'a pair' : `${pairs.length} pairs, first`;
  return `${which} '${pairs[0]!.label}' of groups or of a transposed convolution: no Frobenius decay reaches it`;
}

/** Whether the initializer of a dense layer is [out, in]. */
function isStoredByOutput({ form, node, weight }: Pair['first']): boolean {
  const isSwapped = weight.chain.filter((step) => step.is('Transpose')).length % 2 === 1;
  return isOutputMajor(form, node.int('transB', 0)) !== isSwapped;
}

/** A node that leaves a matrix as it is or transposes it. */
function isSwap(node: Node): boolean {
  return node.is('Identity') || (node.is('Transpose') && node.ints('perm')?.join() !== '0,1');
}

/** A factor as a matrix, and back. As rows it is out × (in, kernel), as columns (out, kernel) × in; of a dense layer both are one. */
interface MatrixForms {
  asRows(): Value;
  asColumns(): Value;
  rowsToColumns(rows: Value): Value;
  columnsToRows(columns: Value): Value;
  /** In the shape of the stored factor. */
  fromRows(rows: Value): Value;
  fromColumns(columns: Value): Value;
}

function formsOf(e: Emitter, { isTransposed }: StoredFactor, weight: Value): MatrixForms {
  const dims = e.dims(weight);
  if (dims.length === 2) {
    const swapped = (value: Value): Value => (isTransposed ? e.transpose(value, [1, 0]) : value);
    const same = (value: Value): Value => value;
    return {
      asRows: () => swapped(weight),
      asColumns: () => swapped(weight),
      rowsToColumns: same,
      columnsToRows: same,
      fromRows: swapped,
      fromColumns: swapped,
    };
  }
  const [out, inputs, ...kernel] = dims as [number, number, ...number[]];
  const axes = kernel.map((_, at) => at);
  const asRows = (stored: Value): Value => e.reshape(stored, [out, -1]);
  const asColumns = (stored: Value): Value =>
    e.reshape(e.transpose(stored, [0, ...axes.map((at) => at + 2), 1]), [-1, inputs]);
  const fromRows = (rows: Value): Value => e.reshape(rows, dims);
  const fromColumns = (columns: Value): Value =>
    e.transpose(e.reshape(columns, [out, ...kernel, inputs]), [0, axes.length + 1, ...axes.map((at) => at + 1)]);
  return {
    asRows: () => asRows(weight),
    asColumns: () => asColumns(weight),
    rowsToColumns: (rows) => asColumns(fromRows(rows)),
    columnsToRows: (columns) => asRows(fromColumns(columns)),
    fromRows,
    fromColumns,
  };
}

/**
 * Gradients of λ/2 ‖Fₙ … F₁‖²_F in the order of the factors and their shapes, F₁ being applied first. By a factor F it is
 * λ (LᵀL) F (R Rᵀ), L being the product of those behind it and R of those before it: of two, λ U (V Vᵀ) and λ (UᵀU) V. As along
 * each axis one factor has the window, R Rᵀ and LᵀL are matrices of rank rows, each made of the one before: R′R′ᵀ = Σ F (R Rᵀ) Fᵀ and
 * L′ᵀL′ = Σ Fᵀ (LᵀL) F over the positions of the kernel of F.
 */
export function frobeniusGradients(
  e: Emitter,
  { factors }: FactorPair,
  weights: readonly Value[],
  lambda: number,
): readonly Value[] {
  const last = factors.length - 1;
  const forms = factors.map((factor, at) => formsOf(e, factor, weights[at]!));
  const outer = forms[last]!.asColumns();
  const inner = mapFromLast(forms.slice(0, last), (form) => form.asRows());
  const scaled = (isScaled: boolean): { readonly alpha?: number } => (isScaled ? { alpha: lambda } : {});

  /** R Rᵀ of each factor but the first; times λ that of the last. */
  const rights: Value[] = [];
  inner.forEach((rows, at) => {
    const form = forms[at]!;
    const times = at === 0 ? rows : form.columnsToRows(e.gemm(form.rowsToColumns(rows), rights[at]!));
    rights[at + 1] = e.gemm(times, rows, { transB: true, ...scaled(at + 1 === last) });
  });
  const gradients: (() => Value)[] = [];
  const byOuter = e.gemm(outer, rights[last]!);
  gradients[last] = () => forms[last]!.fromColumns(byOuter);

  let left = e.gemm(outer, outer, { transA: true, ...scaled(last === 1) });
  for (let at = last - 1; at > 0; at--) {
    const form = forms[at]!;
    const times = form.rowsToColumns(e.gemm(left, inner[at]!));
    const own = e.gemm(times, rights[at]!, { alpha: lambda });
    gradients[at] = () => form.fromColumns(own);
    left = e.gemm(times, form.rowsToColumns(inner[at]!), { transA: true, ...scaled(at === 1) });
  }
  const byInner = e.gemm(left, inner[0]!);
  gradients[0] = () => forms[0]!.fromRows(byInner);
  return mapFromLast(gradients, (gradient) => gradient());
}

/** As `map`, but the last is made first: what is emitted comes in that order. */
export function mapFromLast<T, U>(items: readonly T[], make: (item: T) => U): readonly U[] {
  const made: U[] = [];
  for (const item of items.toReversed()) made.unshift(make(item));
  return made;
}
