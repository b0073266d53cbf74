import type { BoundTensor } from '../runtime/types.js';
import type { TrainingState } from '../step/vectors.js';
import type { Combine } from './combine.js';
import {
  type Moving,
  moving,
  type Parted,
  type TrainingMemory,
  type Turning,
  turning,
  turningVector,
  type Vector,
} from './training-memory.js';

/** The flat vectors that training steps read and write, each with room for its successor. */
export interface StepVectors {
  readonly parameters: Turning<Vector>;
  readonly statistics: Moving;
  readonly optimizer: Turning<Vector>;
  /** What an update reads. */
  readonly firstGradient: Vector;
  /** Where the gradients of further micro-batches go, to be added to the first; made when it is first asked for. */
  readonly nextGradient: Vector;
  /** Of the parameters, then of the statistics; undefined: none. */
  readonly averages: Turning<Parted> | undefined;
}

/** Takes over the vectors of a state. */
export async function holdVectors(
  memory: TrainingMemory,
  initial: TrainingState,
  hasAverages: boolean,
): Promise<StepVectors> {
  const count = initial.parameters.length;
  const averaged = [count, initial.statistics.length];
  let nextGradient: Vector | undefined;
  return {
    parameters: await turningVector(memory, initial.parameters),
    statistics: await moving(memory, initial.statistics),
    optimizer: await turningVector(memory, initial.state),
    firstGradient: memory.blank(count),
    get nextGradient() {
      return (nextGradient ??= memory.blank(count));
    },
    averages: hasAverages
      ? turning(await memory.parted(averaged, initial.ema), await memory.parted(averaged))
      : undefined,
  };
}

/** What lies in the vectors now: not copied where they are arrays. */
export async function readVectors(vectors: StepVectors): Promise<TrainingState> {
  const { parameters, statistics, optimizer, averages } = vectors;
  return {
    parameters: await parameters.current.read(),
    statistics: await statistics.current.read(),
    state: await optimizer.current.read(),
    ema: averages === undefined ? new Float32Array(0) : await averages.current.read(),
  };
}

/** Puts a state in the place of what lies there. */
export async function writeVectors(vectors: StepVectors, written: TrainingState): Promise<void> {
  const { parameters, statistics, optimizer, averages } = vectors;
  await parameters.current.write(written.parameters);
  await statistics.current.write(written.statistics);
  await optimizer.current.write(written.state);
  await averages?.current.write(written.ema);
}

/** What is evaluated: the moving averages, else the parameters and statistics. */
export function evaluatedVectors({ parameters, statistics, averages }: StepVectors): {
  readonly parameters: BoundTensor;
  readonly statistics: BoundTensor;
} {
  const [one, two] = averages?.current.parts ?? [parameters.current, statistics.current];
  return { parameters: one!.tensor, statistics: two!.tensor };
}

/** Turns to what an update has written, and moves the averages by `decay` towards it. Throws RUNTIME. */
export async function turnVectors(vectors: StepVectors, combine: Combine, decay: number | undefined): Promise<void> {
  const { parameters, statistics, optimizer, averages } = vectors;
  parameters.turn();
  optimizer.turn();
  statistics.keep();
  if (averages === undefined) return;
  for (const [i, now] of [parameters.current, statistics.current].entries()) {
    if (now.length === 0) continue;
    await combine(averages.current.parts[i]!, now, decay!, 1 - decay!, averages.other.parts[i]!);
  }
  averages.turn();
}
