import type { Model } from '../graph/model.js';
import type { Node } from '../graph/node.js';
import { shiftBias } from '../rewrite/bias.js';
import { addPairWeights, emitPair, type PairWeights } from '../rewrite/emit.js';
import type { Fit } from './fit.js';
import { activationOf } from './layer-report.js';
import type { FactorizableLayer } from '../rewrite/layers.js';
import { toKernels } from '../rewrite/layout.js';
import { type PairRecord, readPairs, writePairs } from '../rewrite/pairs.js';
import type { InitName } from './types.js';

/** A layer with the nodes of its pair. */
interface Emitted {
  readonly layer: FactorizableLayer;
  readonly nodes: readonly [Node, Node];
}

/** Puts a fitted pair in the place of `layers`, which share one weight: those of the candidate, or the same of a copy. */
export function emitFit(
  model: Model,
  fit: Fit,
  layers: readonly FactorizableLayer[] = fit.candidate.layers,
): { readonly weights: PairWeights; readonly emitted: readonly Emitted[] } {
  const layer = layers[0]!;
  const kernels = toKernels(fit.pair, layer.geometry, fit.scheme, layer.form, layer.node.int('transB', 0));
  const weights = addPairWeights(model, layer, kernels);
  const emitted = layers.map((member): Emitted => {
    const nodes = emitPair(model, member, fit.scheme, weights);
    if (fit.shift !== undefined) shiftBias(model, member, nodes[1], fit.shift);
    return { layer: member, nodes };
  });
  return { weights, emitted };
}

/** Puts every fitted pair into the graph and records it. Layers that share a weight share the pair. */
export function emitFits(model: Model, fits: readonly Fit[], init: InitName): PairRecord[] {
  const records = fits.flatMap((fit) => {
    const { weights, emitted } = emitFit(model, fit);
    return emitted.map(({ layer, nodes: [first, second] }): PairRecord => ({
      name: layer.name,
      op: layer.node.opType as PairRecord['op'],
      scheme: fit.scheme,
      rank: fit.rank,
      kernel: layer.geometry.kernel,
      in: layer.geometry.in,
      out: layer.geometry.out,
      init,
      activation: activationOf(fit.candidate),
      nodes: [first.name, second.name],
      u: weights.second.name,
      v: weights.first.name,
    }));
  });
  writePairs(model, [...readPairs(model), ...records]);
  return records;
}
