import { drawImages } from '../data/subset.js';
import { emulateHalf } from '../passes/emulate-half.js';
import { runPasses } from '../passes/runner.js';
import type { Driver, SessionOptions } from '../runtime/types.js';
import type { LossScale } from '../step/loss-scale.js';
import { initialState, startAverages, type TrainingState } from '../step/vectors.js';
import { calibrate } from './insert-normalization.js';
import type { TrainSettings } from './options.js';
import type { FullMode, SessionCall } from './session.js';
import type { SessionGraphs } from './session-graphs.js';
import { loadersFor, type SessionImages } from './session-images.js';
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
): Promise<Trainer> {
  const { options, settings, mode, driver, session, graphs, warn } = parts;
  const { gradient, update, target } = graphs;
  const initial = state ?? (await stateOfModel(parts));
  emulateOnce(parts);
  return createTrainer({
    driver,
    gradient,
    update,
    state: initial,
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

const emulated = new WeakSet<SessionGraphs>();

/** Half precision on the CPU becomes an emulation of it, the first time that a trainer is started. */
function emulateOnce({ settings, graphs }: StartParts): void {
  if (!isEmulated(settings) || emulated.has(graphs)) return;
  runPasses(graphs.gradient.model, [emulateHalf]);
  emulated.add(graphs);
}

/** Images that inserted normalization layers are calibrated on. */
const calibrationImages = 512;

/** The state before the first update; inserted layers are calibrated. */
export async function stateOfModel(parts: StartParts): Promise<TrainingState> {
  const { options, settings, driver, session, images, model, graphs } = parts;
  const { prepared, source, inserted } = model;
  const { ema, seed, batchSize, tie } = settings;
  const initial = initialState(prepared, graphs.update.stateLength, ema !== null);
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
