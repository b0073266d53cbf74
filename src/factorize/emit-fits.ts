import type { Model } from '../graph/model.js';
import type { Node } from '../graph/node.js';
import type { Value } from '../graph/value.js';
import { shiftBias } from '../rewrite/bias.js';
import { addFactorWeights, emitFactors } from '../rewrite/emit.js';
import type { Fit } from './fit.js';
import { activationOf } from './layer-report.js';
import { channelsOf, kernelSizes } from '../rewrite/geometry.js';
import type { FactorizableLayer } from '../rewrite/layers.js';
import { splitPair, toKernels } from '../rewrite/layout.js';
import { type PairRecord, readPairs, writePairs } from '../rewrite/pairs.js';

/** A layer with the nodes of its factors, in order. */
interface Emitted {
  readonly layer: FactorizableLayer;
  readonly nodes: readonly Node[];
}

/** What of a fit goes into the graph. */
type EmittedFit = Pick<Fit, 'candidate' | 'scheme' | 'rank' | 'inner' | 'pair' | 'shift'>;

/** Puts a fitted pair in the place of `layers`, which share one weight: those of the candidate, or the same of a copy. */
export function emitFit(
  model: Model,
  fit: EmittedFit,
  layers: readonly FactorizableLayer[] = fit.candidate.layers,
): { readonly weights: readonly Value[]; readonly emitted: readonly Emitted[] } {
  const layer = layers[0]!;
  const factors = splitPair(fit.pair, fit.scheme);
  const kernels = toKernels(factors, layer.geometry, fit.scheme, layer.form, layer.node.int('transB', 0));
  const weights = addFactorWeights(model, layer, fit.scheme, kernels);
  const emitted = layers.map((member): Emitted => {
    const nodes = emitFactors(model, member, fit.scheme, weights);
    if (fit.shift !== undefined) shiftBias(model, member, nodes.at(-1)!, fit.shift);
    return { layer: member, nodes };
  });
  return { weights, emitted };
}

/** Puts every fitted pair into the graph and records it. Layers that share a weight share the pair. */
export function emitFits(model: Model, fits: readonly EmittedFit[], init: PairRecord['init']): PairRecord[] {
  const records = fits.flatMap((fit) => {
    const { weights, emitted } = emitFit(model, fit);
    const channels = channelsOf(fit.candidate.layer.geometry);
    const ranks = fit.inner === undefined ? undefined : [fit.inner, fit.rank];
    return emitted.map(({ layer, nodes }): PairRecord => ({
      name: layer.name,
      op: layer.node.opType as PairRecord['op'],
      scheme: fit.scheme,
      rank: fit.rank,
      ranks,
      kernel: kernelSizes(layer.geometry),
      in: channels.in,
      out: channels.out,
      init,
      activation: activationOf(fit.candidate),
      nodes: nodes.map(({ name }) => name),
      factors: weights.map(({ name }) => name),
    }));
  });
  writePairs(model, [...readPairs(model), ...records]);
  return records;
}
