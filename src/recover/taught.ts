import type { Batch } from '../data/batch.js';
import type { Loader } from '../data/loader.js';
import { throwIfAborted } from '../errors.js';
import { modelBytes } from '../graph/write.js';
import { machineMemory, type RunLimits } from '../limits.js';
import { memoryNeed } from '../ops/memory.js';
import { sizeOf } from '../ops/support/layout.js';
import type { RuntimeTensor, Session } from '../runtime/types.js';
import { cutModel } from '../step/cut-model.js';
import { matchGoal, type MatchPoint, taughtInputs } from '../step/goals/match.js';
import { probeBatch } from '../step/prepare-model.js';
import type { PreparedMatching } from '../step/prepare-matching.js';
import type { Fed } from './feed.js';
import type { Held, JudgeRuns } from './judge.js';
import { joined, memoryShare, rowsOf } from './rows.js';
import type { RecoverSettings } from './settings.js';

/** What a teacher that ran once made of the pictures. */
export interface TaughtOnce {
  /** Of a batch that was not changed at random, by input name. */
  of(batch: Batch): NonNullable<Fed['taught']>;
  /** The same of what is kept out. */
  readonly held: readonly Readonly<Record<string, RuntimeTensor>>[];
}

/** Whether the teacher runs once, before: asked for, or where it does not fit into the memory beside the model, a batch of each. */
export function runsOnce(
  prepared: PreparedMatching,
  { teacherRuns, batchSize }: RecoverSettings,
  limits: RunLimits,
): boolean {
  if (teacherRuns !== 'auto') return teacherRuns === 'once';
  const { model, shapesFor, teacher } = prepared;
  const own = memoryNeed(model.graph, shapesFor(batchSize)).peak;
  const other = memoryNeed(teacher.model.graph, teacher.shapesFor(batchSize)).peak;
  return own + other > (limits.memory ?? machineMemory());
}

/**
 * The same goal with a teacher that ran once. Of values that are matched beside the outputs those stay of which all pictures fit into
 * a quarter of the memory: the layers go first, then what the last pool reads.
 */
export function withoutTeacher(prepared: PreparedMatching, pictures: number, limits: RunLimits): PreparedMatching {
  const { matching, outputs } = prepared;
  const most = (memoryShare * (limits.memory ?? machineMemory())) / (4 * pictures);
  const isOutput = new Set<MatchPoint>(outputs);
  const kept: MatchPoint[] = [];
  let size = matching.classes?.classes ?? 0;
  for (const point of matching.points) {
    const own = sizeOf(point.dims.slice(1));
    if (!isOutput.has(point) && (point.dims[0] !== probeBatch || size + own > most)) continue;
    kept.push(point);
    size += own;
  }
  const alone = { ...matching, teacher: undefined, points: kept };
  return { ...prepared, matching: alone, goal: matchGoal(alone) };
}

/** Runs the teacher over all pictures, as they are. `prepared`: with a goal that is fed. Throws INPUT, RUNTIME, ABORTED. */
export async function teachOnce(
  { teacher, matching }: PreparedMatching,
  loader: Loader,
  held: readonly Held[],
  { driver, session: options, signal }: JudgeRuns,
): Promise<TaughtOnce> {
  const { classes, points } = matching;
  const wanted = [...(classes === undefined ? [] : [classes.teacher]), ...points.map((point) => point.teacher)];
  const part = cutModel(teacher, teacher.images, wanted);
  const names = taughtInputs(matching).map(({ name }) => name);
  const session: Session = await driver.createSession(modelBytes(part.model), options);
  const run = async (images: RuntimeTensor): Promise<readonly RuntimeTensor[]> => {
    throwIfAborted(signal);
    const outputs = [...new Set(part.outputs.map(({ name }) => name))];
    const results = await session.run({ [part.images.name]: images }, outputs, { signal });
    return part.outputs.map(({ name }) => results[name]!);
  };
  const made = new Map<number, readonly Float32Array[]>();
  try {
    for await (const { images, size, indices } of loader.batches(0)) {
      const data = (images as Float32Array).slice(0, size * sizeOf(part.imageDims));
      const rows = (await run({ type: 'float32', dims: [size, ...part.imageDims], data })).map(
        (each) => rowsOf(each).rows,
      );
      indices.forEach((index, i) =>
        made.set(
          index,
          rows.map((of) => of[i]!),
        ),
      );
    }
    const ofHeld: Record<string, RuntimeTensor>[] = [];
    for (const { images } of held) {
      const results = await run(images);
      ofHeld.push(Object.fromEntries(names.map((name, i) => [name, results[i]!])));
    }
    return {
      of: ({ indices }) =>
        Object.fromEntries(names.map((name, i) => [name, joined(indices.map((index) => made.get(index)![i]!))])),
      held: ofHeld,
    };
  } finally {
    await session.close();
  }
}
