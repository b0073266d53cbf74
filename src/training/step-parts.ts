import { initialLossScale, type LossScale } from '../step/loss-scale.js';
import { arrayFeed, type BatchFeed, deviceFeed } from './batch-feed.js';
import { type Combine, combiner } from './combine.js';
import { type LateReading, lateReading } from './late-reading.js';
import { orOutOfMemory } from './out-of-memory.js';
import { batchInputs, type StepBindings, stepBindings } from './step-bindings.js';
import { type StepScalars, stepScalars } from './step-scalars.js';
import { openStepGraphs, type StepSessions } from './step-sessions.js';
import { holdVectors, type StepVectors } from './step-vectors.js';
import type { TrainerOptions } from './trainer.js';
import { arrayMemory, deviceMemory } from './training-memory.js';

/** What a trainer works with. */
export interface StepParts {
  readonly sessions: StepSessions;
  readonly vectors: StepVectors;
  readonly feed: BatchFeed;
  readonly scalars: StepScalars;
  readonly bindings: StepBindings;
  readonly combine: Combine;
  readonly lossScale: LossScale | undefined;
  /** Undefined where every update is waited for. */
  readonly late: LateReading | undefined;
}

export async function openParts(options: TrainerOptions, sessions: StepSessions): Promise<StepParts> {
  const { driver, gradient, averageDecay, session: sessionOptions = {}, step = 0 } = options;
  const { readEvery = 1, capture = false, note = () => undefined } = options;
  const isResident = options.isResident ?? (sessionOptions.device ?? 'cpu') !== 'cpu';
  const graphs = await openStepGraphs(options, isResident, sessions);
  const { owner } = graphs;
  const memory = isResident ? deviceMemory(owner) : arrayMemory;
  const vectors = await orOutOfMemory(holdVectors(memory, options.state, averageDecay !== undefined));
  const feed = isResident ? deviceFeed(batchInputs(options), owner, note) : arrayFeed(batchInputs(options));
  const hasScale = gradient.interface.inputs.scale !== undefined;
  const isLate = readEvery > 1 && !hasScale;
  const scalars = stepScalars({ driver, sessionOptions, owner, capture, isLate });
  return {
    sessions,
    vectors,
    feed,
    scalars,
    bindings: stepBindings(options, graphs, vectors, feed, scalars),
    combine: combiner((bytes) => sessions.open('combine', bytes)),
    lossScale: hasScale ? (options.lossScale ?? initialLossScale) : undefined,
    late: isLate ? lateReading(scalars, step) : undefined,
  };
}
