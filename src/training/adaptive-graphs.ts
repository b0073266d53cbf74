import { withCores } from '../adapt/cores.js';
import type { Capacity } from '../adapt/ranks.js';
import { withRoles } from '../adapt/roles.js';
import { basisNames } from '../adapt/state.js';
import type { EvalGraph } from '../step/eval-graph.js';
import { layOut } from '../step/flat.js';
import type { GradientGraph } from '../step/gradient-graph.js';
import { oneGroup, type UpdateGroup } from '../step/groups.js';
import type { StateLayout } from '../step/laid-out.js';
import type { PrepareTrainingOptions } from '../step/prepare-model.js';
import { type Parameter, type Prepared, prepareTraining } from '../step/prepare.js';
import { buildUpdateGraph, type UpdateGraph } from '../step/update-graph.js';
import { blankState, type TrainingState } from '../step/vectors.js';
import type { Adaptation } from './adaptation.js';
import type { TrainSettings } from './options.js';
import { evaluationOf, type GraphContext, gradientOf } from './session-graphs.js';

/** A gradient graph with its update, and where its tensors lie. */
export interface Side {
  readonly gradient: GradientGraph;
  readonly update: UpdateGraph;
  readonly layout: StateLayout;
  /** A state of zeros. */
  blank(): TrainingState;
}

/** The graphs of layers with room for some ranks. */
export interface AdaptiveGraphs {
  readonly capacities: readonly Capacity[];
  /** Moves the coefficients, and all that is no layer; with `parallel` it gives the gradients of the bases too. */
  readonly main: Side;
  /** Gives the gradients of the bases, in the place of its parameters; undefined where `main` does. */
  readonly bases: Side | undefined;
  readonly evaluation: EvalGraph;
  readonly evaluated: StateLayout;
}

/** Emits the graphs of these capacities; the model that they are of is closed again. */
export function adaptiveGraphs(
  { source, layers }: Pick<Adaptation, 'source' | 'layers'>,
  capacities: readonly Capacity[],
  settings: TrainSettings,
  context: GraphContext,
  size: Pick<PrepareTrainingOptions, 'imageDims' | 'imageSize' | 'inputs'>,
): AdaptiveGraphs {
  const prepare = (of: (capacity: Capacity) => number): Prepared =>
    prepareTraining(withCores(source, layers, capacities.map(of)), { settings, ...size });
  const wide = prepare(({ bases }) => bases);
  const narrow = prepare(({ rank }) => rank);
  try {
    const names = basisNames(layers);
    const isBasis = ({ name }: Parameter): boolean => names.has(name);
    const coefficients = withRoles(narrow, (parameter) => !isBasis(parameter));
    const isParallel = settings.adaptRanks === 'parallel';
    return {
      capacities,
      main: isParallel
        ? sideOf(narrow, settings, context, isBasis)
        : sideOf(
            withRoles(wide, (parameter) => !isBasis(parameter)),
            settings,
            context,
          ),
      bases: isParallel ? undefined : sideOf(withRoles(narrow, isBasis), settings, context, isBasis),
      evaluation: evaluationOf(coefficients, settings, context),
      evaluated: layoutOf(coefficients, settings),
    };
  } finally {
    wide.model.file?.close();
    narrow.model.file?.close();
  }
}

export function layoutOf(prepared: Prepared, { optimizer }: Pick<TrainSettings, 'optimizer'>): StateLayout {
  return { parameters: prepared.parameters, statistics: prepared.statistics, optimizer };
}

/** With `isTaken`, those parameters give their gradients in their place. */
function sideOf(
  prepared: Prepared,
  settings: TrainSettings,
  context: GraphContext,
  isTaken: (parameter: Parameter) => boolean = () => false,
): Side {
  const gradient = gradientOf(prepared, settings, context);
  const own = { ...prepared, pairs: [] };
  const taken = own.parameters.filter(isTaken);
  const moved = own.parameters.filter((parameter) => !isTaken(parameter));
  const usual: UpdateGroup = { ...oneGroup(settings), has: (parameter) => !isTaken(parameter) };
  const taking: UpdateGroup = {
    ...{ rule: 'gradient', settings, rateFactor: 1, weightDecay: 0, clip: null },
    has: isTaken,
  };
  const groups = [...(moved.length > 0 ? [usual] : []), ...(taken.length > 0 ? [taking] : [])];
  const update = buildUpdateGraph(own, { ...settings, frobeniusDecay: 0 }, groups);
  const buffered = layOut(moved);
  return {
    gradient,
    update,
    layout: { ...layoutOf(prepared, settings), ...(taken.length > 0 ? { buffered } : {}) },
    blank: () => blankState(prepared, update.stateLength, settings.ema !== null),
  };
}
