import type { LayerReport } from '../contracts/convert.js';
import type { Candidate } from './candidates.js';
import type { Fit } from './fit.js';
import { breakEvenRank, channelsOf, kernelSizes, maxRank, schemesOf } from '../rewrite/geometry.js';
import { isConvolution, type Layer, layerCounts } from '../rewrite/layers.js';

/** "Relu", "Clip(0, 6)", "linear" … */
export function activationName(activation: Candidate['activation']): string {
  switch (activation.kind) {
    case 'LeakyRelu':
      return `LeakyRelu(${activation.alpha})`;
    case 'Clip':
      return `Clip(${activation.min}, ${activation.max})`;
    default:
      return activation.kind;
  }
}

/** The activation of a candidate, also where it has no closed forms. */
export function activationOf({ form, activation }: Candidate): string {
  return form?.name ?? activationName(activation);
}

type Facts = Omit<
  LayerReport,
  | 'action'
  | 'reason'
  | 'scheme'
  | 'rank'
  | 'init'
  | 'activation'
  | 'weightError'
  | 'functionError'
  | 'dataError'
  | 'params'
  | 'macs'
  | 'seconds'
>;

/** What a layer's report says whatever was done to it. */
function facts(layer: Layer): Facts {
  const { geometry } = layer;
  const schemes = layer.kind === 'fixed' ? [] : schemesOf(geometry, !isConvolution(layer.form));
  const scheme = schemes[0];
  return {
    name: layer.name,
    label: layer.label,
    op: layer.node.opType,
    kernel: kernelSizes(geometry),
    group: layer.group,
    ...channelsOf(geometry),
    maxRank: scheme === undefined ? 0 : maxRank(geometry, scheme),
    breakEvenRank: scheme === undefined ? 0 : breakEvenRank(geometry, scheme),
  };
}

/** Report of a layer that stays as it is. */
export function keptReport(layer: Layer, reason: string, activation: string): LayerReport {
  const { params, macs } = layerCounts(layer);
  return {
    ...facts(layer),
    action: 'kept',
    reason,
    scheme: null,
    rank: null,
    init: null,
    activation,
    weightError: null,
    functionError: null,
    params: { before: params, after: params },
    macs: { before: macs, after: macs },
    seconds: 0,
  };
}

/** Report of a layer that became a pair; `after` holds counts of the written file. */
export function factorizedReport(
  layer: Layer,
  fit: Fit,
  init: string,
  after: { readonly params: number; readonly macs: number },
): LayerReport {
  const { params, macs } = layerCounts(layer);
  const { geometry } = layer;
  return {
    ...facts(layer),
    maxRank: maxRank(geometry, fit.scheme),
    breakEvenRank: breakEvenRank(geometry, fit.scheme),
    action: 'factorized',
    reason: fit.note,
    scheme: fit.scheme,
    rank: fit.rank,
    ...(fit.inner === undefined ? {} : { ranks: [fit.inner, fit.rank] }),
    init,
    activation: activationOf(fit.candidate),
    weightError: fit.weightError,
    functionError: fit.functionError,
    ...(fit.dataError === undefined ? {} : { dataError: fit.dataError }),
    params: { before: params, after: after.params },
    macs: { before: macs, after: after.macs },
    seconds: fit.seconds,
  };
}
