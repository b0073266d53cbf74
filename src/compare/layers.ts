import type { Candidate, Selection } from '../factorize/candidates.js';
import { breakEvenRank, factorMacs, factorParams, maxRank } from '../rewrite/geometry.js';
import { activationOf, keptReport } from '../factorize/layer-report.js';
import type { Layer } from '../rewrite/layers.js';
import type { Plan } from '../factorize/plan-types.js';
import { ratio } from '../rewrite/report-parts.js';
import type { InitName } from '../factorize/types.js';
import type { ComparedFit, ComparedLayer, CompareReport } from '../contracts/compare.js';
import type { Outcome } from './init-summary.js';
import { describeTheorem, type TheoremTerms } from './theorem.js';

export interface LayerFacts {
  readonly layers: readonly Layer[];
  readonly selection: Selection;
  readonly plans: readonly Plan[];
  /** The compared initializations. */
  readonly inits: readonly InitName[];
  /** Those, and what the theorem needs besides. */
  readonly outcomes: ReadonlyMap<InitName, Outcome>;
  readonly terms: ReadonlyMap<Candidate, TheoremTerms>;
}

/** All layers in the order of the graph. Layers that share a weight share the fits; its parameters count with the first. */
export function describeLayers(facts: LayerFacts): ComparedLayer[] {
  const { layers, selection, plans } = facts;
  return layers.map((layer) => {
    const reason = selection.kept.get(layer);
    if (reason !== undefined) return kept(layer, reason, 'linear');
    const plan = plans.find(({ candidate }) => candidate.layers.some((member) => member === layer))!;
    if (plan.trials === null) return kept(layer, plan.note, activationOf(plan.candidate));
    return factorized(layer, plan, facts);
  });
}

function kept(layer: Layer, reason: string, activation: string): ComparedLayer {
  const { init: _, weightError: _w, functionError: _f, seconds: _s, ...report } = keptReport(layer, reason, activation);
  return { ...report, fits: {}, theorem: null };
}

function factorized(
  layer: Layer,
  plan: Extract<Plan, { trials: readonly unknown[] }>,
  { inits, outcomes, terms }: LayerFacts,
): ComparedLayer {
  const { candidate, note } = plan;
  const [{ scheme, rank }] = plan.trials;
  const { geometry } = layer;
  const bias = layer.kind === 'factorizable' ? layer.biasCount : 0;
  const isFirst = candidate.layer === layer;
  const base = kept(layer, note, activationOf(candidate));
  const fitOf = (init: InitName): ComparedFit | undefined => {
    const fit = outcomes.get(init)?.fits.find((each) => each.candidate === candidate);
    if (fit === undefined) return undefined;
    const { weightError, functionError, dataError, dataFunctionError, seconds } = fit;
    return {
      weightError: finite(weightError),
      functionError: finite(functionError),
      ...(dataError === undefined ? {} : { dataError: finite(dataError) }),
      ...(dataFunctionError === undefined ? {} : { dataFunctionError: finite(dataFunctionError) }),
      seconds,
    };
  };
  const fits = inits.flatMap((init) => {
    const fit = fitOf(init);
    return fit === undefined ? [] : [[init, fit] as const];
  });
  const errorOf = (init: InitName): number | undefined => fitOf(init)?.functionError ?? undefined;
  return {
    ...base,
    action: 'factorized',
    reason: isFirst ? note : `${note}; shares its weight with '${candidate.layer.label}', where it is counted`,
    scheme,
    rank,
    maxRank: maxRank(geometry, scheme),
    breakEvenRank: breakEvenRank(geometry, scheme),
    params: {
      before: isFirst ? base.params.before : bias,
      after: (isFirst ? factorParams(geometry, scheme, rank) : 0) + bias,
    },
    macs: { before: base.macs.before, after: factorMacs(geometry, scheme, rank) },
    fits: Object.fromEntries(fits),
    theorem: describeTheorem(terms.get(candidate), candidate, errorOf('spectral'), errorOf('lfai')),
  };
}

/** JSON has no infinity. */
function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

/** Counts of the converted model from those of the original. */
export function factorizedTotals(
  before: { readonly params: number; readonly macs: number },
  layers: readonly ComparedLayer[],
): CompareReport['totals'] {
  const total = (of: 'params' | 'macs') =>
    ratio(
      before[of],
      layers.reduce((sum, layer) => sum + layer[of].after - layer[of].before, before[of]),
    );
  return { params: total('params'), macs: total('macs') };
}
