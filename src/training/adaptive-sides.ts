import { capacityOf, type Capacity } from '../adapt/ranks.js';
import type { AdaptName } from '../adapt/settings.js';
import { copyState } from '../adapt/state.js';
import type { LaidOut, StateLayout } from '../step/laid-out.js';
import type { LossScale } from '../step/loss-scale.js';
import type { BufferKind } from '../step/rules/rule.js';
import type { TrainingState } from '../step/vectors.js';
import type { Adaptation } from './adaptation.js';
import type { AdaptiveGraphs, Side } from './adaptive-graphs.js';
import { cycleOf } from './cycle.js';
import type { Trainer } from './trainer.js';

export interface AdaptiveOptions {
  readonly adaptation: Adaptation;
  readonly method: AdaptName;
  readonly coefficientSteps: number;
  readonly stepsPerEpoch: number;
  /** Updates of the whole training. */
  readonly updates: number;
  /** What the optimizer keeps of a parameter. */
  readonly kinds: readonly BufferKind[];
  /** How states are laid out that come in and go out. */
  readonly home: StateLayout;
  blank(): TrainingState;
  build(capacities: readonly Capacity[]): AdaptiveGraphs;
  /** Starts a trainer of one side with a state, which it takes over. */
  open(side: Side, state: TrainingState, step: number, lossScale: LossScale | undefined): Promise<Trainer>;
}

/** The sessions of some capacities. */
export interface Opened {
  readonly graphs: AdaptiveGraphs;
  readonly main: Trainer;
  readonly bases: Trainer | undefined;
}

/** Where in its cycle the update comes that is behind so many. */
export function placeOf({ stepsPerEpoch, coefficientSteps }: AdaptiveOptions, tried: number): { readonly at: number } {
  return cycleOf(stepsPerEpoch, coefficientSteps, tried % stepsPerEpoch);
}

/** Starts both trainers with room for so large ranks, the main one with a state laid out for others. */
export async function openSides(
  options: AdaptiveOptions,
  room: readonly number[],
  from: LaidOut,
  step: number,
  lossScale: LossScale | undefined,
): Promise<Opened> {
  const { adaptation, method } = options;
  const { layers } = adaptation;
  const isAugmented = method !== 'kls-fixed' && method !== 'parallel';
  const graphs = options.build(layers.map((layer, at) => capacityOf(layer, room[at]!, isAugmented)));
  const state = graphs.main.blank();
  copyState(from, { state, layout: graphs.main.layout }, layers);
  const main = await options.open(graphs.main, state, step, lossScale);
  try {
    const { bases } = graphs;
    return { graphs, main, bases: bases && (await options.open(bases, bases.blank(), step, lossScale)) };
  } catch (error) {
    await main.close();
    throw error;
  }
}

export async function closeSides({ main, bases }: Opened): Promise<void> {
  await bases?.close();
  await main.close();
}
