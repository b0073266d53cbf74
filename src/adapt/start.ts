import type { Scheme } from '../contracts/convert.js';
import { LowrankError } from '../errors.js';
import { emitFits } from '../factorize/emit-fits.js';
import { fitPlans } from '../factorize/fit.js';
import { selectLayers } from '../factorize/select-layers.js';
import type { SelectionSettings } from '../factorize/settings.js';
import type { Model } from '../graph/model.js';
import type { Linalg, Matrix } from '../linalg/types.js';
import { transposed } from '../linalg/transpose.js';
import type { ShapeTable } from '../ops/infer.js';
import { findPairs } from '../rewrite/find-pairs.js';
import { matrixShape, schemesOf } from '../rewrite/geometry.js';
import { matchesGlob } from '../rewrite/glob.js';
import { findLayers, isConvolution } from '../rewrite/layers.js';
import type { Kernel } from '../rewrite/layout.js';
import { matricesOf } from './cores.js';
import type { LayerFactors } from './factors.js';
import { type AdaptedLayer, hasCore } from './layers.js';
import { newDirections } from './orthonormal.js';
import { spectrumOf } from './spectrum.js';
import { truncate } from './truncate.js';

export interface StartSettings extends Pick<SelectionSettings, 'include' | 'exclude' | 'keepFirst' | 'keepLast'> {
  /** Of convolutions; those of 1×1 and dense layers have one. */
  readonly scheme: 'channel' | 'spatial';
  /** The rank that a layer begins with, where it has as many. */
  readonly startRank: number | null;
  /** Parameters that are not trained: a layer whose weight is one stays in one piece. */
  readonly freeze: readonly string[];
}

/**
 * Puts a pair in the place of each layer of a model that has none yet: the truncated singular value decomposition of its weight, of
 * `startRank` or of half of its rank. Throws what `selectLayers` throws, UNSUPPORTED where no layer is left.
 */
export async function startPairs(
  model: Model,
  shapes: ShapeTable,
  settings: StartSettings,
  linalg: Linalg,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (findPairs(model, findLayers(model.graph, shapes)).pairs.length > 0) return;
  const { selection } = selectLayers(model, shapes, { ...settings, factorizePairs: false }, 'spectral');
  const candidates = selection.candidates.filter(
    ({ layer }) => hasCore(layer) && !settings.freeze.some((glob) => matchesGlob(layer.weight.source.name, glob)),
  );
  if (candidates.length === 0) {
    throw new LowrankError('UNSUPPORTED', 'no layer is left whose rank could be found', {
      remedy:
        'give the first or the last layer free with --no-keep-first, --no-keep-last, exclude less, or freeze less',
    });
  }
  const plans = candidates.map((candidate) => {
    const { geometry, form } = candidate.layer;
    const possible = schemesOf(geometry, !isConvolution(form));
    const scheme: Scheme = possible.find((name) => name === settings.scheme) ?? possible[0]!;
    const { rows, cols } = matrixShape(geometry, scheme);
    const rank = Math.min(settings.startRank ?? usualMost(rows, cols), rows, cols);
    return { candidate, trials: [{ scheme, rank }] as const, note: '' };
  });
  emitFits(model, await fitPlans(plans, { linalg, init: 'spectral', seed: 0, signal }), 'spectral');
}

/** The largest rank that a layer may have where nothing is said: half of what its matrix could have. */
export function usualMost(rows: number, cols: number): number {
  return Math.max(1, Math.floor(Math.min(rows, cols) / 2));
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
  const spectrum = await spectrumOf(linalg, factors.core, `layer '${layer.label}'`);
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
