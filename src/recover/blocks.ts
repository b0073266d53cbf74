import type { BlockRecovery } from '../contracts/recover.js';
import { LowrankError, throwIfAborted } from '../errors.js';
import { modelBytes } from '../graph/write.js';
import { machineMemory } from '../limits.js';
import { sizeOf } from '../ops/support/layout.js';
import { blockLine } from '../report/recover-text.js';
import type { TrainProgress } from '../report/train-progress.js';
import type { RuntimeTensor } from '../runtime/types.js';
import { type Block, blocksOf } from '../step/blocks.js';
import { buildEvalGraph, type EvalGraph } from '../step/eval-graph.js';
import { lengthOf, type Slot } from '../step/flat.js';
import type { Trainable } from '../step/goals/goal.js';
import { buildGradientGraph } from '../step/gradient-graph.js';
import { buildUpdateGraph } from '../step/update-graph.js';
import { copyState, type TrainingState } from '../step/vectors.js';
import { followTeacher } from './follow.js';
import { type Held, openJudge, vector } from './judge.js';
import type { OpenedRecovery } from './open.js';
import { batchOf, feedOfRows, memoryShare, type Rows, rowsOf, runRows, spansOf } from './rows.js';

export interface BlocksOptions {
  readonly opened: OpenedRecovery;
  readonly initial: TrainingState;
  readonly lr: number;
  readonly signal: AbortSignal | undefined;
  readonly progress: TrainProgress | undefined;
  readonly note: (line: string) => void;
  /** Added to. */
  readonly seconds: { train: number; evaluate: number };
  /** Bytes that what is kept of the pictures may take. */
  readonly memory?: number | undefined;
}

/** Few pictures are seen in several ways, at most so often, until there are so many. */
const [mostViews, enoughRows] = [8, 2000];
const looks = 8;
/** A block that is so close, relative to what the teacher's varies, has nothing to learn. */
const close = 1e-5;

/** What of the pictures there is between two blocks: of both models, to learn from and kept out. */
interface Between {
  readonly student: Rows;
  readonly teacher: Rows;
  readonly heldStudent: Rows;
  readonly heldTeacher: Rows;
}

/**
 * Makes a model that of its teacher block by block (`blocksOf`): each is fed what the blocks before it, trained already, make of the
 * pictures, and learns to give what the teacher's gives; nothing flows back through the others. A block that comes no closer on the
 * pictures that are kept out stays as it is. As the reconstruction of blocks by Li et al., arXiv 2102.05426, section 3.
 */
export async function followBlocks(options: BlocksOptions): Promise<{
  readonly state: TrainingState;
  readonly blocks: readonly BlockRecovery[];
  readonly isInterrupted: boolean;
}> {
  const { opened, initial, progress } = options;
  const { prepared, images, held, loaders } = opened;
  const blocks = blocksOf(prepared);
  const state = copyState(initial);
  const count = rowsFor(blocks, images.training.length, held, options);
  const loader = loaders.training(images.training);
  let pictures: Rows;
  try {
    pictures = await draw(loader.batches.bind(loader), prepared.imageDims, count, options.signal);
  } finally {
    await loader.close();
  }
  const heldOut: Rows = { dims: prepared.imageDims, rows: held.flatMap((each) => rowsOf(each.images).rows) };
  let between: Between = { student: pictures, teacher: pictures, heldStudent: heldOut, heldTeacher: heldOut };
  const reports: BlockRecovery[] = [];
  try {
    for (const [i, block] of blocks.entries()) {
      throwIfAborted(options.signal);
      const taught = await teach(block, between, options);
      const own = takeOut(prepared, block.student, state);
      const found = await learnBlock(block, between, taught, own, options);
      putBack(prepared, block.student, found.state, state);
      const report = { name: block.name, parameters: own.parameters.length, ...found.report };
      reports.push(report);
      progress?.note(blockLine(report, i + 1, blocks.length));
      if (i + 1 < blocks.length) between = await behind(block.student, found, between, taught, options);
    }
  } catch (error) {
    if (!(error instanceof LowrankError) || error.code !== 'ABORTED') throw error;
    return { state, blocks: reports, isInterrupted: true };
  }
  return { state, blocks: reports, isInterrupted: false };
}

/** What there is behind a block, whose weights are those that it was given. */
async function behind(
  { goal }: Trainable,
  { evaluation, state: { parameters, statistics } }: Learned,
  before: Between,
  taught: Taught,
  { opened, signal }: BlocksOptions,
): Promise<Between> {
  const session = await opened.driver.createSession(evaluation.bytes(), opened.session);
  const { inputs, outputs } = evaluation.interface;
  const compute = async (rows: Rows, wanted: readonly Rows[]): Promise<Rows> => {
    const [made] = await runRows(rows, async (from, to) => {
      throwIfAborted(signal);
      const feeds = {
        [inputs.parameters]: vector(parameters),
        [inputs.statistics]: vector(statistics),
        [inputs.images]: batchOf(rows, from, to),
        ...Object.fromEntries(goal.targets.map(({ name }, i) => [name, batchOf(wanted[i]!, from, to)])),
      };
      const results = await session.run(feeds, [outputs.logits], { signal });
      return [results[outputs.logits]!];
    });
    return made!;
  };
  try {
    return {
      student: await compute(before.student, taught.rows),
      teacher: taught.rows[0]!,
      heldStudent: await compute(before.heldStudent, taught.held),
      heldTeacher: taught.held[0]!,
    };
  } finally {
    await session.close();
  }
}

/** How many pictures, or ways to see one, are kept. */
function rowsFor(
  blocks: readonly Block[],
  pictures: number,
  held: OpenedRecovery['held'],
  { opened: { settings }, memory = machineMemory() }: BlocksOptions,
): number {
  const most = Math.max(
    ...blocks.map(({ student: { imageDims, goal, shapesFor } }) => {
      const outputs = goal.outputs.map((value) => sizeOf(shapesFor(1).require(value).dims));
      return 2 * (sizeOf(imageDims) + outputs.reduce((sum, size) => sum + size, 0));
    }),
  );
  const kept = held.reduce((sum, { size }) => sum + size, 0);
  const views = settings.augment === 'none' ? 1 : Math.min(mostViews, Math.max(1, Math.ceil(enoughRows / pictures)));
  const fitting = Math.floor((memoryShare * memory) / (4 * most)) - kept;
  return Math.max(settings.batchSize, Math.min(views * pictures, fitting));
}

async function draw(
  batches: ReturnType<OpenedRecovery['loaders']['training']>['batches'],
  dims: readonly number[],
  count: number,
  signal: AbortSignal | undefined,
): Promise<Rows> {
  const rows: Float32Array[] = [];
  for (let epoch = 0; rows.length < count; epoch++) {
    for await (const { images, size } of batches(epoch)) {
      throwIfAborted(signal);
      const batch = rowsOf({ type: 'float32', dims: [images.length / sizeOf(dims), ...dims], data: images });
      rows.push(...batch.rows.slice(0, Math.min(size, count - rows.length)));
      if (rows.length >= count) break;
    }
  }
  return { dims, rows };
}

/** What the teacher's block gives: by output, as rows. */
interface Taught {
  readonly rows: readonly Rows[];
  readonly held: readonly Rows[];
}

async function teach({ teacher }: Block, between: Between, { opened, signal }: BlocksOptions): Promise<Taught> {
  const session = await opened.driver.createSession(modelBytes(teacher.model), opened.session);
  const names = teacher.outputs.map(({ name }) => name);
  const run = (rows: Rows): Promise<readonly Rows[]> =>
    runRows(rows, async (from, to) => {
      throwIfAborted(signal);
      const results = await session.run({ [teacher.images.name]: batchOf(rows, from, to) }, names, { signal });
      return names.map((name) => results[name]!);
    });
  try {
    return { rows: await run(between.teacher), held: await run(between.heldTeacher) };
  } finally {
    await session.close();
  }
}

/** The weights that a block was given. */
interface Learned {
  readonly state: TrainingState;
  readonly evaluation: EvalGraph;
  readonly report: Pick<BlockRecovery, 'start' | 'written' | 'step'>;
}

async function learnBlock(
  { student }: Block,
  between: Between,
  taught: Taught,
  initial: TrainingState,
  { opened, signal, lr, seconds, note }: BlocksOptions,
): Promise<Learned> {
  const { driver, session, settings, target } = opened;
  const emit = { batch: settings.batchSize, passes: target.passes };
  const evaluation = buildEvalGraph(student, { ...emit, isBatchOpen: true });
  const names = student.goal.targets.map(({ name }) => name);
  const byName = (rows: readonly Rows[]): Record<string, Rows> =>
    Object.fromEntries(names.map((name, i) => [name, rows[i]!]));
  const held = heldRows(between.heldStudent, byName(taught.held));
  const judge = await openJudge(evaluation, held.pictures, false, { driver, session, signal }, held.taught);
  try {
    const start = await judge.measure(initial);
    if (student.parameters.length === 0 || start.loss < close) {
      return { state: initial, evaluation, report: { start: start.loss, written: start.loss, step: 0 } };
    }
    const gradient = buildGradientGraph(
      ...([student, settings, { ...emit, isBatchOpen: false }, target.build, target.opsets] as const),
    );
    const update = buildUpdateGraph(student, settings);
    const { best } = await followTeacher({
      learning: {
        ...{ driver, session, gradient, update, settings, signal, note },
        graphOptimization: target.graphOptimization,
      },
      feed: feedOfRows(between.student, byName(taught.rows), settings),
      ...{ judge, start, lr, seconds, looks, progress: undefined },
      initial: { ...initial, state: new Float32Array(update.stateLength) },
    });
    return { state: best.state, evaluation, report: { start: start.loss, written: best.loss, step: best.step } };
  } finally {
    await judge.close();
  }
}

function heldRows(
  rows: Rows,
  taught: Readonly<Record<string, Rows>>,
): { readonly pictures: readonly Held[]; readonly taught: readonly Readonly<Record<string, RuntimeTensor>>[] } {
  const spans = spansOf(rows);
  return {
    pictures: spans.map(([from, to]) => {
      const images = batchOf(rows, from, to);
      return { images, labels: undefined, size: images.dims[0]! };
    }),
    taught: spans.map(([from, to]) =>
      Object.fromEntries(Object.entries(taught).map(([name, each]) => [name, batchOf(each, from, to)])),
    ),
  };
}

type Slots = readonly (Slot & { readonly name: string })[];

/** Copies the elements of a block's slots: `copy` is told where they lie in the block, and where in the whole. */
function eachSlot(slots: Slots, all: Slots, copy: (own: number, whole: number, size: number) => void): void {
  const places = new Map(all.map((slot) => [slot.name, slot.offset]));
  for (const { name, offset, size } of slots) copy(offset, places.get(name)!, size);
}

/** The state of a block as it is in that of the whole. */
function takeOut(whole: Trainable, block: Trainable, state: TrainingState): TrainingState {
  const take = (slots: Slots, all: Slots, from: Float32Array): Float32Array => {
    const taken = new Float32Array(lengthOf(slots));
    eachSlot(slots, all, (own, at, size) => taken.set(from.subarray(at, at + size), own));
    return taken;
  };
  return {
    parameters: take(block.parameters, whole.parameters, state.parameters),
    statistics: take(block.statistics, whole.statistics, state.statistics),
    state: new Float32Array(0),
    ema: new Float32Array(0),
  };
}

function putBack(whole: Trainable, block: Trainable, from: TrainingState, state: TrainingState): void {
  const put = (slots: Slots, all: Slots, own: Float32Array, into: Float32Array): void =>
    eachSlot(slots, all, (offset, at, size) => into.set(own.subarray(offset, offset + size), at));
  put(block.parameters, whole.parameters, from.parameters, state.parameters);
  put(block.statistics, whole.statistics, from.statistics, state.statistics);
}
