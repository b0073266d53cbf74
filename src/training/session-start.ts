import { drawImages } from '../data/subset.js';
import { emulateHalf } from '../passes/emulate-half.js';
import { runPasses } from '../passes/runner.js';
import type { Driver, SessionOptions } from '../runtime/types.js';
import type { LossScale } from '../step/loss-scale.js';
import { blankState, initialState, startAverages, type TrainingState } from '../step/vectors.js';
import { putFactors } from '../adapt/state.js';
import type { GradientGraph } from '../step/gradient-graph.js';
import { updateRules } from '../step/rules/index.js';
import type { Adaptation } from './adaptation.js';
import { adaptiveGraphs, layoutOf } from './adaptive-graphs.js';
import type { AdaptiveOptions } from './adaptive-sides.js';
import { AdaptiveTrainer } from './adaptive-trainer.js';
import { calibrate } from './insert-normalization.js';
import type { TrainSettings } from './options.js';
import type { FullMode, SessionCall } from './session.js';
import type { GraphContext, SessionGraphs } from './session-graphs.js';
import { loadersFor, type SessionImages } from './session-images.js';
import { sizeFor } from '../images/sample-shape.js';
import { type SessionModel, slotsOf } from './session-model.js';
import { createTrainer, type Trainer } from './trainer.js';

/** What a trainer is started of. */
export interface StartParts {
  readonly options: SessionCall;
  readonly settings: TrainSettings;
  readonly mode: FullMode;
  readonly driver: Driver;
  readonly session: SessionOptions;
  readonly images: SessionImages;
  readonly model: SessionModel;
  readonly graphs: SessionGraphs;
  readonly context: GraphContext;
  readonly stepsPerEpoch: number;
  readonly warn: (line: string) => void;
}

/** Whether half precision is float32 with the roundings of the half type. */
export function isEmulated({ precision, device }: TrainSettings): boolean {
  return precision !== 'float32' && device === 'cpu';
}

/** Opens the sessions of onnxruntime, with a state or, without one, that of the model. */
export async function startTrainer(
  parts: StartParts,
  state: TrainingState | undefined,
  step: number,
  lossScale: LossScale | undefined,
  rankRoom?: readonly number[],
): Promise<Trainer> {
  const { settings, graphs } = parts;
  const initial = state ?? (await stateOfModel(parts));
  if (parts.model.adaptation !== undefined)
    return startAdaptive(parts, parts.model.adaptation, initial, step, lossScale, rankRoom);
  emulateOnce(settings, graphs.gradient);
  return trainerOf(parts, graphs, initial, step, lossScale);
}

/** Opens the sessions of a gradient graph and its update. */
function trainerOf(
  { options, settings, mode, driver, session, graphs: { target }, warn }: StartParts,
  { gradient, update }: Pick<SessionGraphs, 'gradient' | 'update'>,
  state: TrainingState,
  step: number,
  lossScale: LossScale | undefined,
): Promise<Trainer> {
  return createTrainer({
    driver,
    gradient,
    update,
    state,
    batch: settings.batchSize,
    averageDecay: settings.ema ?? undefined,
    session,
    graphOptimization: target.graphOptimization,
    step,
    lossScale,
    isResident: mode.isResident,
    readEvery: mode.readEvery,
    capture: mode.capture,
    allowCpuNodes: settings.allowCpuNodes,
    signal: options.signal,
    note: warn,
  });
}

/** A trainer of layers whose ranks are found. */
function startAdaptive(
  parts: StartParts,
  adaptation: Adaptation,
  initial: TrainingState,
  first: number,
  scale: LossScale | undefined,
  rankRoom: readonly number[] | undefined,
): Promise<Trainer> {
  const { settings, model, context, stepsPerEpoch, graphs } = parts;
  const { prepared } = model;
  const options: AdaptiveOptions = {
    adaptation,
    method: settings.adaptRanks!,
    coefficientSteps: settings.coefficientSteps,
    stepsPerEpoch,
    updates: settings.epochs * stepsPerEpoch,
    kinds: updateRules[settings.optimizer].buffers(settings),
    home: layoutOf(prepared, settings),
    blank: () => blankState(prepared, graphs.update.stateLength, settings.ema !== null),
    build: (capacities) =>
      adaptiveGraphs(adaptation, capacities, settings, context, {
        ...sizeFor(settings, parts.images.training),
        inputs: settings.inputs,
      }),
    open: (side, state, step, lossScale) => {
      emulateOnce(settings, side.gradient);
      return trainerOf(parts, side, state, step, lossScale);
    },
  };
  return AdaptiveTrainer.start(options, initial, first, scale, rankRoom);
}

const emulated = new WeakSet<GradientGraph>();

/** Half precision on the CPU becomes an emulation of it, the first time that a trainer is started. */
function emulateOnce(settings: TrainSettings, gradient: GradientGraph): void {
  if (!isEmulated(settings) || emulated.has(gradient)) return;
  runPasses(gradient.model, [emulateHalf]);
  emulated.add(gradient);
}

/** Images that inserted normalization layers are calibrated on. */
const calibrationImages = 512;

/** The state before the first update; inserted layers are calibrated. */
export async function stateOfModel(parts: StartParts): Promise<TrainingState> {
  const { options, settings, driver, session, images, model, graphs } = parts;
  const { prepared, source, inserted } = model;
  const { ema, seed, batchSize, tie } = settings;
  const initial = initialState(prepared, graphs.update.stateLength, ema !== null);
  const { adaptation } = model;
  if (adaptation !== undefined) {
    putFactors({ state: initial, layout: layoutOf(prepared, settings) }, adaptation.layers, adaptation.start);
  }
  if (inserted === undefined) return initial;
  const some = loadersFor(prepared, settings, false).validation(
    drawImages(images.training, calibrationImages, { seed, order: 'drawn' }),
    batchSize,
  );
  try {
    const batches = some.batches(0);
    const { signal } = options;
    const weights = { ...initial, ...slotsOf(prepared), tie };
    await calibrate({ source, layers: inserted, driver, session, batches, signal }, weights);
  } finally {
    await some.close();
  }
  if (ema !== null) startAverages(initial);
  return initial;
}
