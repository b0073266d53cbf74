import { findLayers } from '../rewrite/layers.js';
import { isOutputMajor } from '../rewrite/layout.js';
import { findPairs, type Pair } from '../rewrite/find-pairs.js';
import type { Model } from '../graph/model.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import type { Emitter } from '../ops/emitter.js';
import type { ShapeTable } from '../ops/infer.js';

/** The two weights of a low-rank layer; its full-rank weight is the matrix U V. */
export interface FactorPair {
  /** Name of the layer that the pair replaced. */
  readonly name: string;
  /** Applied to the result of V: initializers. */
  readonly u: Value;
  /** Applied to the input. */
  readonly v: Value;
  readonly rank: number;
  /** How the stored tensors are the matrices U (out·kh × rank) and V (rank × in·kw), up to the order of rows and columns. */
  readonly form: 'conv' | 'dense';
  /** Dense layers: whether a factor is stored as its transpose. */
  readonly isTransposed: { readonly u: boolean; readonly v: boolean };
}

export type FactorPairs = readonly FactorPair[];

/** The pairs of a model whose factors are both trained as they are stored; each once, however many layers share it. */
export function findFactorPairs(
  model: Model,
  shapes: ShapeTable,
  trained: ReadonlySet<Value>,
): { readonly pairs: FactorPairs; readonly warnings: readonly string[] } {
  const { pairs, warnings } = findPairs(model, findLayers(model.graph, shapes));
  const seen = new Set<Value>();
  const found = pairs.flatMap((pair): FactorPair[] => {
    const [v, u] = [pair.first.weight, pair.second.weight];
    const form = pair.form === 'conv' ? 'conv' : 'dense';
    const isStored = [u, v].every(({ chain }) => chain.every((node) => form === 'dense' && isSwap(node)));
    if (!isStored || !trained.has(u.source) || !trained.has(v.source) || seen.has(u.source)) return [];
    seen.add(u.source);
    return [
      {
        name: pair.name,
        u: u.source,
        v: v.source,
        rank: pair.rank,
        form,
        isTransposed: { u: !isStoredByOutput(pair.second), v: !isStoredByOutput(pair.first) },
      },
    ];
  });
  return { pairs: found, warnings };
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

/**
 * Gradients of λ/2 ‖U V‖²_F: λ (U V) Vᵀ = λ U (V Vᵀ) and λ Uᵀ (U V) = λ (Uᵀ U) V, in the shapes of the stored factors.
 * Kernels [rank, in, kh, kw] and [out, rank, kh, kw] are the matrices [rank, in·kh·kw] and [out·kh·kw, rank].
 */
export function frobeniusGradients(
  e: Emitter,
  pair: FactorPair,
  u: Value,
  v: Value,
  lambda: number,
): { readonly u: Value; readonly v: Value } {
  const { rank } = pair;
  if (pair.form === 'dense') {
    const [uMatrix, vMatrix] = [
      pair.isTransposed.u ? e.transpose(u, [1, 0]) : u,
      pair.isTransposed.v ? e.transpose(v, [1, 0]) : v,
    ];
    const { du, dv } = productGradients(e, uMatrix, vMatrix, lambda);
    return {
      u: pair.isTransposed.u ? e.transpose(du, [1, 0]) : du,
      v: pair.isTransposed.v ? e.transpose(dv, [1, 0]) : dv,
    };
  }
  const [out, , kh, kw] = e.dims(u) as [number, number, number, number];
  const uMatrix = e.reshape(e.transpose(u, [0, 2, 3, 1]), [-1, rank]);
  const vMatrix = e.reshape(v, [rank, -1]);
  const { du, dv } = productGradients(e, uMatrix, vMatrix, lambda);
  return {
    u: e.transpose(e.reshape(du, [out, kh, kw, rank]), [0, 3, 1, 2]),
    v: e.reshape(dv, e.dims(v)),
  };
}

function productGradients(e: Emitter, u: Value, v: Value, lambda: number): { readonly du: Value; readonly dv: Value } {
  return {
    du: e.gemm(u, e.gemm(v, v, { transB: true, alpha: lambda })),
    dv: e.gemm(e.gemm(u, u, { transA: true, alpha: lambda }), v),
  };
}
