import type { BlockRecovery, Closeness, RecoverReport } from '../contracts/recover.js';
import type { Loader } from '../data/loader.js';
import { behindBlocksLine, trialLine } from '../report/recover-text.js';
import type { TrainProgress } from '../report/train-progress.js';
import type { TrainingState } from '../step/vectors.js';
import { followBlocks } from './blocks.js';
import { feedOf } from './feed.js';
import { type Followed, followTeacher } from './follow.js';
import type { Learning } from './learner.js';
import type { OpenedRecovery } from './open.js';
import { findRate } from './rate.js';
import { firstRates } from './settings.js';

export interface CourseOptions {
  readonly opened: OpenedRecovery;
  readonly initial: TrainingState;
  readonly start: Closeness;
  readonly loader: Loader;
  readonly signal: AbortSignal | undefined;
  readonly progress: TrainProgress | undefined;
  readonly warn: (line: string) => void;
  /** Bytes of memory that may be used. */
  readonly memory: number | undefined;
  /** Added to. */
  readonly seconds: { trials: number; train: number; evaluate: number };
}

export interface Course extends Followed, Pick<RecoverReport, 'rate' | 'blocks' | 'behindBlocks'> {}

/** From the start to the weights that are written: by blocks, as a whole, or both, one behind the other. */
export async function takeCourse(options: CourseOptions): Promise<Course> {
  const { opened, initial, start, loader, signal, progress, warn, seconds } = options;
  const { settings, target, driver, session, gradient, update, judge, taught } = opened;
  const from = settings.lr === null ? 'trials' : 'option';
  const usual = settings.lr ?? firstRates[settings.optimizer];
  let begun = { ...start, step: 0, state: initial };
  let ofBlocks: { readonly blocks?: readonly BlockRecovery[]; readonly behindBlocks?: Closeness } = {};
  let status: Followed['status'] = 'finished';
  if (settings.recoverBy !== 'whole') {
    const found = await followBlocks({ ...options, note: warn, lr: usual });
    const behindBlocks = await judge.measure(found.state, true);
    progress?.note(behindBlocksLine(behindBlocks));
    ofBlocks = { blocks: found.blocks, behindBlocks };
    if (found.isInterrupted) status = 'interrupted';
    const step = Math.max(0, ...found.blocks.map((block) => block.step));
    if (behindBlocks.loss < start.loss) begun = { ...behindBlocks, step, state: found.state };
    else warn('behind the blocks the model is no closer to its teacher: they are left as they were');
  }
  if (settings.recoverBy === 'blocks' || status === 'interrupted') {
    const rate = { lr: usual, from: settings.lr === null ? 'usual' : 'option', trials: [] } as const;
    return { ...ofBlocks, rate, best: begun, evaluations: [], retreats: 0, status, stepsPerSecond: null };
  }
  const learning: Learning = {
    ...{ driver, session, gradient, update, settings, signal, note: warn },
    graphOptimization: target.graphOptimization,
  };
  const feed = feedOf(loader, taught === undefined ? undefined : (batch) => taught.of(batch));
  const trialsStarted = performance.now();
  const rate =
    settings.lr === null
      ? await findRate(learning, feed, begun.state, judge, (trial) => progress?.note(trialLine(trial)))
      : { lr: settings.lr, trials: [] };
  seconds.trials = (performance.now() - trialsStarted) / 1000;
  const followed = await followTeacher({
    ...{ learning, feed, judge, progress, seconds, lr: rate.lr },
    initial: begun.state,
    start: begun,
  });
  return { ...ofBlocks, ...followed, rate: { ...rate, from } };
}
