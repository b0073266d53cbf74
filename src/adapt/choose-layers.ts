import type { Kept, Scheme } from '../contracts/convert.js';
import { LowrankError } from '../errors.js';
import type { Candidate } from '../factorize/candidates.js';
import { selectLayers } from '../factorize/select-layers.js';
import type { SelectionSettings } from '../factorize/settings.js';
import type { Model } from '../graph/model.js';
import type { ShapeTable } from '../ops/infer.js';
import { matrixShape, schemesOf } from '../rewrite/geometry.js';
import { matchesGlob } from '../rewrite/glob.js';
import { isConvolution } from '../rewrite/layers.js';
import { coreObstacle } from './layers.js';

export interface StartSettings extends Pick<SelectionSettings, 'include' | 'exclude' | 'keepFirst' | 'keepLast'> {
  /** Of convolutions; those of 1×1 and dense layers have one. */
  readonly scheme: 'channel' | 'spatial';
  /** The rank that a layer begins with, where it has as many; null: half of its full rank. */
  readonly startRank: number | null;
  /** Parameters that are not trained: a layer whose weight is one stays in one piece. */
  readonly freeze: readonly string[];
}

/** A layer in one piece that is to begin as a pair. */
export interface ChosenLayer {
  readonly candidate: Candidate;
  readonly scheme: Scheme;
  readonly rank: number;
  /** Of the matrix that is factorized. */
  readonly rows: number;
  readonly cols: number;
}

/** The layers of a model in one piece that begin as pairs, and why others do not. Throws what `selectLayers` throws, UNSUPPORTED where no layer is left. */
export function chooseLayers(
  model: Model,
  shapes: ShapeTable,
  settings: StartSettings,
): { readonly chosen: readonly ChosenLayer[]; readonly kept: readonly Kept[] } {
  const { layers, selection } = selectLayers(model, shapes, { ...settings, factorizePairs: false }, 'spectral');
  const obstacleOf = ({ layer }: Candidate): string | undefined => {
    const isFrozen = settings.freeze.some((glob) => matchesGlob(layer.weight.source.name, glob));
    return coreObstacle(layer) ?? (isFrozen ? 'its weight is frozen' : undefined);
  };
  const candidates = selection.candidates.filter((candidate) => obstacleOf(candidate) === undefined);
  if (candidates.length === 0) {
    throw new LowrankError('UNSUPPORTED', 'no layer is left whose rank could be found', {
      remedy:
        'give the first or the last layer free with --no-keep-first, --no-keep-last, exclude less, or freeze less',
    });
  }
  const reasons = new Map(selection.kept);
  for (const candidate of selection.candidates) {
    const obstacle = obstacleOf(candidate);
    if (obstacle !== undefined) for (const layer of candidate.layers) reasons.set(layer, obstacle);
  }
  return {
    chosen: candidates.map((candidate) => chosenLayer(candidate, settings)),
    kept: layers.flatMap((layer) => {
      const reason = reasons.get(layer);
      return reason === undefined ? [] : [{ name: layer.name, label: layer.label, reason }];
    }),
  };
}

function chosenLayer(candidate: Candidate, { scheme: wanted, startRank }: StartSettings): ChosenLayer {
  const { geometry, form } = candidate.layer;
  const possible = schemesOf(geometry, !isConvolution(form));
  const scheme = possible.find((name) => name === wanted) ?? possible[0]!;
  const { rows, cols } = matrixShape(geometry, scheme);
  return { candidate, scheme, rank: Math.min(startRank ?? usualMost(rows, cols), rows, cols), rows, cols };
}

/** The largest rank that a layer may have where nothing is said: half of what its matrix could have. */
export function usualMost(rows: number, cols: number): number {
  return Math.max(1, Math.floor(Math.min(rows, cols) / 2));
}

/** Throws USAGE where a rank is asked for that no layer has. */
export function requireRank(
  layers: readonly { readonly rows: number; readonly cols: number }[],
  flag: string,
  rank: number | null,
): void {
  const most = Math.max(...layers.map(({ rows, cols }) => Math.min(rows, cols)));
  if (rank === null || rank <= most) return;
  throw new LowrankError('USAGE', `a rank of ${rank} is more than any layer can have`, {
    place: flag,
    remedy: `give at most ${most}`,
  });
}
