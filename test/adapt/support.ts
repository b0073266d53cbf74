import type { LayerFactors } from '../../src/adapt/factors.js';
import { adaptedLayers, coreName, fullRank } from '../../src/adapt/layers.js';
import type { RankRule } from '../../src/adapt/ranks.js';
import { defaultAdaptSettings, type AdaptName } from '../../src/adapt/settings.js';
import { startPairs } from '../../src/adapt/start.js';
import { factorsOf, namesOf, putFactors } from '../../src/adapt/state.js';
import { readModel } from '../../src/graph/read.js';
import { modelBytes } from '../../src/graph/write.js';
import type { Linalg } from '../../src/linalg/types.js';
import { inferShapes } from '../../src/ops/infer.js';
import { loadDriver } from '../../src/runtime/driver.js';
import { layOut } from '../../src/step/flat.js';
import { oneGroup, type UpdateGroup } from '../../src/step/groups.js';
import { type StateLayout, tensorsOf } from '../../src/step/laid-out.js';
import { type Prepared, prepareTraining } from '../../src/step/prepare.js';
import { updateRules } from '../../src/step/rules/index.js';
import { buildUpdateGraph, type UpdateGraph } from '../../src/step/update-graph.js';
import { blankState, initialState, type TrainingState } from '../../src/step/vectors.js';
import { type Adaptation, coefficientsOnly, homeModel } from '../../src/training/adaptation.js';
import { adaptiveGraphs, layoutOf, type Side } from '../../src/training/adaptive-graphs.js';
import { AdaptiveTrainer } from '../../src/training/adaptive-trainer.js';
import { defaultTrainSettings, type TrainSettings } from '../../src/training/options.js';
import { graphContext } from '../../src/training/session-graphs.js';
import { createTrainer } from '../../src/training/trainer.js';

export interface AdaptiveCase {
  readonly model: string | Uint8Array;
  readonly method: AdaptName;
  readonly linalg: Linalg;
  readonly start: readonly LayerFactors[];
  readonly batch: number;
  readonly stepsPerEpoch: number;
  readonly settings: Partial<TrainSettings>;
  readonly coefficientSteps: number;
  readonly rule: { readonly tolerance: number; readonly minRank: number; readonly most: number };
}

export interface OpenedAdaptive {
  readonly trainer: AdaptiveTrainer;
  readonly home: StateLayout;
  readonly adaptation: Adaptation;
  /** W of each layer, row-major. */
  weights(): Promise<Float64Array[]>;
  /** All other tensors by name. */
  others(): Promise<ReadonlyMap<string, Float32Array>>;
  close(): Promise<void>;
}

/** U S Vᵀ. */
export function productOf({ left, core, right }: Pick<LayerFactors, 'left' | 'core' | 'right'>): Float64Array {
  const product = new Float64Array(left.rows * right.cols);
  for (let i = 0; i < left.rows; i++) {
    for (let b = 0; b < core.cols; b++) {
      let sum = 0;
      for (let a = 0; a < core.rows; a++) sum += left.data[i * left.cols + a]! * core.data[a * core.cols + b]!;
      for (let j = 0; j < right.cols; j++) product[i * right.cols + j]! += sum * right.data[b * right.cols + j]!;
    }
  }
  return product;
}

/** A trainer whose layers begin with the factors given, on the graphs that trainings have. */
export async function openAdaptive(given: AdaptiveCase): Promise<OpenedAdaptive> {
  const { method, linalg, start, batch, coefficientSteps, stepsPerEpoch } = given;
  const settings: TrainSettings = {
    ...defaultTrainSettings,
    ...defaultAdaptSettings,
    ...given.settings,
    adaptRanks: method,
    batchSize: batch,
    coefficientSteps,
  };
  const driver = await loadDriver();
  const model = readModel(given.model);
  const shapes = () => inferShapes(model);
  const choice = { ...defaultAdaptSettings, keepFirst: false, startRank: start[0]!.core.rows, freeze: [] };
  await startPairs(model, shapes(), choice, linalg, undefined);
  const layers = adaptedLayers(model, shapes());
  const rule: RankRule = {
    tolerance: given.rule.tolerance,
    minRank: given.rule.minRank,
    mostOf: (layer) => Math.min(fullRank(layer), given.rule.most),
    target: undefined,
  };
  const none = { params: 0, macs: 0 };
  const adaptation: Adaptation = {
    ...{ source: modelBytes(model), layers, start, rule, linalg },
    ...{ inputShapes: {}, kept: [], fixed: none, whole: none },
  };
  model.file?.close();
  const prepared = coefficientsOnly(prepareTraining(homeModel(adaptation, settings), { settings }), adaptation);
  // As the trajectories have it: momentum is of the coefficients alone.
  const cores = new Set(layers.map(coreName));
  const isCore = ({ name }: { readonly name: string }): boolean => cores.has(name);
  const groups: UpdateGroup[] = [
    { ...oneGroup(settings), has: isCore },
    { ...oneGroup({ ...settings, momentum: 0 }), has: (parameter) => !isCore(parameter) },
  ];
  const ownMomentum = settings.momentum > 0;
  const updateOf = (of: Pick<Prepared, 'parameters' | 'pairs'>): UpdateGraph =>
    buildUpdateGraph(of, settings, ownMomentum ? groups : undefined);
  const bufferedOf = (layout: StateLayout): StateLayout =>
    ownMomentum ? { ...layout, buffered: layOut(layout.parameters.filter(isCore)) } : layout;
  const withOwn = (side: Side): Side => {
    const update = updateOf({ parameters: side.layout.parameters as Prepared['parameters'], pairs: [] });
    const blank = (): TrainingState => ({ ...side.blank(), state: new Float32Array(update.stateLength) });
    return { ...side, update, blank, layout: bufferedOf(side.layout) };
  };
  const home = bufferedOf(layoutOf(prepared, settings));
  const { stateLength } = updateOf(prepared);
  const hasAverage = settings.ema !== null;
  const state = initialState(prepared, stateLength, hasAverage);
  putFactors({ state, layout: home }, layers, start);
  const context = await graphContext(settings, false, driver);
  const trainer = await AdaptiveTrainer.start(
    {
      ...{ adaptation, method, coefficientSteps, stepsPerEpoch, home },
      updates: stepsPerEpoch * settings.epochs,
      kinds: updateRules[settings.optimizer].buffers(settings),
      blank: () => blankState(prepared, stateLength, hasAverage),
      build: (capacities) => {
        const graphs = adaptiveGraphs(adaptation, capacities, settings, context, {});
        return ownMomentum ? { ...graphs, main: withOwn(graphs.main) } : graphs;
      },
      open: ({ gradient, update }, own, step, lossScale) =>
        createTrainer({
          ...{ driver, gradient, update, batch, step, lossScale, state: own },
          averageDecay: settings.ema ?? undefined,
          graphOptimization: context.target.graphOptimization,
        }),
    },
    state,
    0,
    undefined,
  );
  const now = async () => ({ state: await trainer.read(), layout: home });
  return {
    ...{ trainer, home, adaptation },
    weights: async () => factorsOf(await now(), layers).map(productOf),
    others: async () => {
      const own = new Set(layers.flatMap(namesOf));
      return new Map(
        [...tensorsOf(await now())].flatMap(([name, { value }]) => (own.has(name) ? [] : [[name, value] as const])),
      );
    },
    close: async () => {
      await trainer.close();
      prepared.model.file?.close();
    },
  };
}
