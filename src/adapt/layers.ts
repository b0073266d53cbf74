import { LowrankError } from '../errors.js';
import type { Scheme } from '../contracts/convert.js';
import type { Model } from '../graph/model.js';
import { obstacleOf } from '../merge/merge-pair.js';
import type { ShapeTable } from '../ops/infer.js';
import { findPairs, pairCounts } from '../rewrite/find-pairs.js';
import { factorMacs, type Geometry, groupsOf } from '../rewrite/geometry.js';
import type { Pair } from '../rewrite/joined-layers.js';
import { type FactorizableLayer, findLayers, type LayerForm } from '../rewrite/layers.js';

/** A pair whose rank is found while it is trained: W = U S Vᵀ, with S between its two factors. */
export interface AdaptedLayer {
  /** Of the layer that it stands for, and as people are shown it. */
  readonly name: string;
  readonly label: string;
  /** Of the matrix that is factorized. */
  readonly rows: number;
  readonly cols: number;
  readonly scheme: Scheme;
  readonly geometry: Geometry;
  /** Initializers: of Vᵀ, which is applied first, and of U. */
  readonly right: string;
  readonly left: string;
  /** Values between the two, that of Vᵀ first. */
  readonly hidden: readonly string[];
  /** How Vᵀ and U lie in their tensors. */
  readonly form: LayerForm;
  readonly transB: number;
  /** Of the model as it is. */
  readonly rank: number;
  /** Parameters and MACs that one rank costs, and those of the layer in one piece. */
  readonly perRank: { readonly params: number; readonly macs: number };
  readonly whole: { readonly params: number; readonly macs: number };
  /** The rank from which on its pair has as many parameters as the layer in one piece; infinite where no single layer computes it. */
  readonly wholeFrom: number;
}

/** The name of S. */
export function coreName({ left }: AdaptedLayer): string {
  return `${left}.core`;
}

/**
 * The pairs of a model, each with a rank of its own. Throws UNSUPPORTED where there are none, where layers share a factor, and where a
 * factor is no initializer.
 */
export function adaptedLayers(model: Model, shapes: ShapeTable): AdaptedLayer[] {
  const { pairs } = findPairs(model, findLayers(model.graph, shapes));
  const own = pairs.filter((pair) => coreObstacle(pair) === undefined);
  if (own.length === 0) throw noneAdapted(pairs);
  const readers = new Map<string, string>();
  return own.map((pair): AdaptedLayer => {
    for (const { weight } of pair.factors) requireOwn(pair, weight.source.name, weight.chain.length, readers);
    const { first, last, between, geometry, scheme, matrix } = pair;
    const { params, macs } = pairCounts(pair);
    const perRank = { params: matrix.rows + matrix.cols, macs: factorMacs(geometry, scheme, 1) };
    const whole = { params: params.single - last.biasCount, macs: macs.single };
    return {
      name: pair.name,
      label: pair.label,
      rows: matrix.rows,
      cols: matrix.cols,
      scheme,
      geometry,
      right: first.weight.source.name,
      left: last.weight.source.name,
      hidden: [first.node, ...between].map(({ outputs }) => outputs[0]!.name),
      form: pair.form,
      transB: last.node.int('transB', 0),
      rank: pair.rank,
      perRank,
      whole,
      wholeFrom: obstacleOf(pair) === undefined ? Math.ceil(whole.params / perRank.params) : Infinity,
    };
  });
}

function noneAdapted([pair]: readonly Pair[]): LowrankError {
  if (pair === undefined) {
    return new LowrankError('UNSUPPORTED', 'the model has no low-rank layers whose ranks could be found', {
      remedy: 'convert it first, with `lowrank convert`',
    });
  }
  return new LowrankError('UNSUPPORTED', `the ranks of its low-rank layers cannot be found: ${coreObstacle(pair)}`, {
    place: `layer '${pair.label}'`,
    remedy: 'give the original model, whose layers begin as pairs, or leave out --adapt-ranks',
  });
}

/** Why S cannot stand between the two factors of a layer, or of a pair; undefined where it can. */
export function coreObstacle({
  form,
  geometry,
  factors,
}: Pick<FactorizableLayer, 'form' | 'geometry'> & Partial<Pick<Pair, 'factors'>>): string | undefined {
  if (factors !== undefined && factors.length !== 2) return `${factors.length} factors in a row`;
  const hasCore = form !== 'conv-transposed' && groupsOf(geometry) === 1 && geometry.axes === undefined;
  return hasCore ? undefined : 'a convolution of groups, transposed, or not of two axes';
}

function requireOwn({ label }: Pair, weight: string, steps: number, readers: Map<string, string>): void {
  const other = readers.get(weight);
  if (other !== undefined) {
    throw new LowrankError(
      'UNSUPPORTED',
      `'${label}' shares a factor with '${other}': a rank cannot be found for each`,
      {
        place: `'${weight}'`,
        remedy: 'give every layer its own tensor with --tie never, or train without --adapt-ranks',
      },
    );
  }
  readers.set(weight, label);
  if (steps === 0) return;
  throw new LowrankError('UNSUPPORTED', `a factor of '${label}' is computed from the stored one`, {
    place: `'${weight}'`,
    remedy: 'convert the model anew with `lowrank convert`',
  });
}

/** What a layer of this rank costs as it is written: a pair, or one piece where that is no larger. */
export function costAt({ perRank, whole, wholeFrom }: AdaptedLayer, rank: number, of: 'params' | 'macs'): number {
  return rank >= wholeFrom ? whole[of] : rank * perRank[of];
}

/** The largest rank that a layer can have. */
export function fullRank({ rows, cols }: Pick<AdaptedLayer, 'rows' | 'cols'>): number {
  return Math.min(rows, cols);
}
