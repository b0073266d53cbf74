import type { Kept } from '../contracts/convert.js';
import { emitFits } from '../factorize/emit-fits.js';
import { fitPlans } from '../factorize/fit.js';
import type { Model } from '../graph/model.js';
import type { Linalg, Matrix } from '../linalg/types.js';
import { transposed } from '../linalg/transpose.js';
import type { ShapeTable } from '../ops/infer.js';
import { findPairs } from '../rewrite/find-pairs.js';
import type { Pair } from '../rewrite/joined-layers.js';
import { findLayers, type Layer } from '../rewrite/layers.js';
import type { Kernel } from '../rewrite/layout.js';
import { chooseLayers, type StartSettings } from './choose-layers.js';
import { matricesOf } from './cores.js';
import type { LayerFactors } from './factors.js';
import { type AdaptedLayer, coreObstacle } from './layers.js';
import { newDirections } from './orthonormal.js';
import { spectrumOf } from './spectrum.js';
import { truncate } from './truncate.js';

/**
 * Puts a pair in the place of each layer of a model that has none yet: the truncated singular value decomposition of its weight, of
 * `startRank` or of half of its rank. Gives the layers that stay as they are. Throws what `chooseLayers` throws.
 */
export async function startPairs(
  model: Model,
  shapes: ShapeTable,
  settings: StartSettings,
  linalg: Linalg,
  signal: AbortSignal | undefined,
): Promise<readonly Kept[]> {
  const layers = findLayers(model.graph, shapes);
  const { pairs } = findPairs(model, layers);
  if (pairs.length > 0) return besidePairs(layers, pairs);
  const { chosen, kept } = chooseLayers(model, shapes, settings);
  const plans = chosen.map(({ candidate, scheme, rank }) => ({
    candidate,
    trials: [{ scheme, rank }] as const,
    note: '',
  }));
  emitFits(model, await fitPlans(plans, { linalg, init: 'spectral', seed: 0, signal }), 'spectral');
  return kept;
}

/** What of a model that has pairs keeps its rank: layers in one piece, and pairs between whose factors nothing can stand. */
function besidePairs(layers: readonly Layer[], pairs: readonly Pair[]): readonly Kept[] {
  const pairOf = new Map<Layer, Pair>(pairs.flatMap((pair) => pair.factors.map((layer) => [layer, pair] as const)));
  return layers.flatMap((layer): Kept[] => {
    const pair = pairOf.get(layer);
    if (pair === undefined) {
      const reason = layer.kind === 'fixed' ? layer.reason : 'in one piece, in a model that has pairs';
      return [{ name: layer.name, label: layer.label, reason }];
    }
    const reason = coreObstacle(pair);
    return reason === undefined || layer !== pair.first ? [] : [{ name: pair.name, label: pair.label, reason }];
  });
}

/** The factors of a model's pairs as U S Vᵀ, S diagonal, each of at most the rank given. */
export async function factorsOfModel(
  model: Model,
  layers: readonly AdaptedLayer[],
  mostOf: (layer: AdaptedLayer) => number,
  linalg: Linalg,
): Promise<LayerFactors[]> {
  const found: LayerFactors[] = [];
  for (const layer of layers) {
    const kernel = (name: string): Kernel => {
      const tensor = model.graph.value(name)!.tensor!;
      return { dims: tensor.dims, data: tensor.toFloat32() };
    };
    const { left, right } = matricesOf(layer, kernel(layer.right), kernel(layer.left));
    found.push(await factorsOfPair(linalg, layer, left, right, mostOf(layer)));
  }
  return found;
}

/** left · right as U S Vᵀ. */
async function factorsOfPair(
  linalg: Linalg,
  layer: AdaptedLayer,
  left: Matrix,
  right: Matrix,
  most: number,
): Promise<LayerFactors> {
  const columns = await basisOf(linalg, transposed(left));
  const rows = await basisOf(linalg, right);
  const core = await linalg.gemm64(
    await linalg.gemm64(columns, left),
    await linalg.gemm64(right, rows, { transposeB: true }),
  );
  const factors: LayerFactors = {
    left: transposed(columns),
    core: { ...core, data: Float32Array.from(core.data) },
    right: rows,
    buffers: [],
    average: undefined,
  };
  const spectrum = await spectrumOf(linalg, factors.core, `layer '${layer.label}'`, most);
  return truncate(linalg, factors, spectrum, Math.min(most, spectrum.squares.length), []);
}

/** Orthonormal rows that span those; of zeros alone, the first unit vector. */
async function basisOf(linalg: Linalg, rows: Matrix): Promise<Matrix> {
  const { cols } = rows;
  const found = await newDirections(linalg, { rows: 0, cols, data: new Float32Array(0) }, rows);
  if (found.rows === 0)
    return { rows: 1, cols, data: Float32Array.from({ length: cols }, (_, i) => (i === 0 ? 1 : 0)) };
  return { rows: found.rows, cols, data: Float32Array.from(found.data) };
}
