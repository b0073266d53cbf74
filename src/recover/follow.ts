import type { Closeness, RecoverEvaluation, RecoverReport } from '../contracts/recover.js';
import { LowrankError } from '../errors.js';
import { evaluationLine } from '../report/recover-text.js';
import type { TrainProgress } from '../report/train-progress.js';
import { copyState, type TrainingState } from '../step/vectors.js';
import { learningRateAt } from '../training/schedule.js';
import type { LearningFeed } from './feed.js';
import type { Judge } from './judge.js';
import { Learner, type Learning } from './learner.js';
import { scheduleOf } from './schedule.js';

export interface FollowOptions {
  readonly learning: Learning;
  readonly feed: LearningFeed;
  readonly judge: Judge;
  readonly initial: TrainingState;
  readonly start: Closeness;
  /** The largest learning rate. */
  readonly lr: number;
  readonly progress: TrainProgress | undefined;
  /** Default: 20. */
  readonly looks?: number;
  /** Added to. */
  readonly seconds: { train: number; evaluate: number };
}

/** Weights, how close they are, and the updates before them. */
interface Reached extends Closeness {
  readonly step: number;
  readonly state: TrainingState;
}

export interface Followed extends Pick<RecoverReport, 'evaluations' | 'retreats' | 'status' | 'stepsPerSecond'> {
  /** Of all that were judged, the start among them, the closest. */
  readonly best: Reached;
}

/** Looks at the pictures that are kept out, in a training. */
const usualLooks = 20;
/** Where a look finds so many times the start's loss, the training goes back to its best weights with half of the rate. */
const tooFar = 1.1;
/** It ends where so many looks, one behind the other, found nothing closer. */
const patience = 8;

/** Trains towards the teacher, with a warm-up and a cosine, and keeps the closest weights. */
export async function followTeacher(options: FollowOptions): Promise<Followed> {
  const { learning, feed, judge, initial, start, progress, seconds, looks = usualLooks } = options;
  const { steps: total } = learning.settings;
  const every = Math.max(1, Math.ceil(total / looks));
  const evaluations: RecoverEvaluation[] = [];
  let best: Reached = { ...start, step: 0, state: copyState(initial) };
  let base = options.lr;
  let retreats = 0;
  let fruitless = 0;
  let status: Followed['status'] = 'finished';
  let sum = 0;
  let count = 0;
  let learner = await Learner.start(learning, feed, initial);
  const goBack = async (step: number): Promise<void> => {
    await learner.close();
    base /= 2;
    retreats++;
    progress?.note(
      `further from the teacher than at the start: back to the weights of step ${best.step}, with half of the rate`,
    );
    learner = await Learner.start(learning, feed, best.state, step);
  };
  try {
    for (let step = 0; step < total; step++) {
      const lr = learningRateAt(step, scheduleOf(base, total));
      const began = performance.now();
      try {
        const { loss, correct } = await learner.step(lr);
        sum += loss;
        count++;
        seconds.train += since(began);
        progress?.step({
          ...{ epoch: 1, epochs: 1, step: step + 1, steps: total, loss: sum / count },
          top1: correct / learning.settings.batchSize,
          imagesPerSecond: ((step + 1) * learning.settings.batchSize) / seconds.train,
          dataWaitShare: 0,
        });
      } catch (error) {
        if (!(error instanceof LowrankError) || error.code !== 'NUMERIC') throw error;
        await goBack(step + 1);
        continue;
      }
      if ((step + 1) % every !== 0 && step + 1 < total) continue;
      // Since the training went back there was no update that could be made.
      if (count === 0) continue;
      const looked = performance.now();
      const state = await learner.weights();
      const closeness = await judge.measure(state);
      seconds.evaluate += since(looked);
      const evaluation = { step: step + 1, trainingLoss: sum / count, lr, ...closeness };
      [sum, count] = [0, 0];
      if (Number.isFinite(closeness.loss)) evaluations.push(evaluation);
      progress?.note(evaluationLine(evaluation, total));
      if (closeness.loss < best.loss) {
        best = { ...closeness, step: step + 1, state };
        fruitless = 0;
        continue;
      }
      fruitless++;
      if (fruitless >= patience) {
        status = 'stopped early';
        break;
      }
      if (!(closeness.loss <= tooFar * start.loss)) await goBack(step + 1);
    }
  } catch (error) {
    if (!(error instanceof LowrankError) || error.code !== 'ABORTED') throw error;
    status = 'interrupted';
  } finally {
    await learner.close();
  }
  const steps = evaluations.at(-1)?.step ?? 0;
  return { best, evaluations, retreats, status, stepsPerSecond: seconds.train > 0 ? steps / seconds.train : null };
}

const since = (time: number): number => (performance.now() - time) / 1000;
