import type { RateTrial } from '../contracts/recover.js';
import { LowrankError } from '../errors.js';
import type { TrainingState } from '../step/vectors.js';
import { chosenRate } from '../training/chosen-rate.js';
import { learningRateAt } from '../training/schedule.js';
import type { LearningFeed } from './feed.js';
import type { Judge } from './judge.js';
import { Learner, type Learning } from './learner.js';
import { scheduleOf } from './schedule.js';
import { firstRates } from './settings.js';

const factor = 3;
const mostTrials = 6;

/** Updates of a trial: a share of the training, within bounds. */
function trialSteps(steps: number): number {
  return Math.max(8, Math.min(60, Math.round(steps / 15)));
}

/**
 * Finds a learning rate by short trainings that all begin at one state, see the same pictures and end in a rate of 0, as the
 * whole training does: they go down from a usual rate, by 3 each time, while the pictures that are kept out say that it was too large, and
 * up while more is better. Of those that gain nearly as much as the best, the largest is taken.
 */
export async function findRate(
  learning: Learning,
  feed: LearningFeed,
  state: TrainingState,
  judge: Judge,
  onTrial: (trial: RateTrial) => void,
): Promise<{ readonly lr: number; readonly trials: readonly RateTrial[] }> {
  const { settings } = learning;
  const steps = trialSteps(settings.steps);
  const start = (await judge.measure(state)).loss;
  const trials: RateTrial[] = [];
  const run = async (lr: number): Promise<number> => {
    const trial = { lr, steps, loss: await lossBehind(learning, feed, state, judge, lr, steps) };
    trials.push(trial);
    onTrial(trial);
    return trial.loss ?? Infinity;
  };
  const first = firstRates[settings.optimizer];
  const middle = await run(first);
  const below = await run(first / factor);
  const isDown = below < middle;
  let best = Math.min(middle, below);
  for (let lr = isDown ? first / factor ** 2 : first * factor; trials.length < mostTrials;) {
    const loss = await run(lr);
    if (loss >= best && best < start) break;
    best = Math.min(best, loss);
    lr = isDown ? lr / factor : lr * factor;
  }
  return { lr: chosenRate(trials, start), trials };
}

async function lossBehind(
  learning: Learning,
  feed: LearningFeed,
  state: TrainingState,
  judge: Judge,
  lr: number,
  steps: number,
): Promise<number | null> {
  const learner = await Learner.start(learning, feed, state);
  try {
    for (let step = 0; step < steps; step++) await learner.step(learningRateAt(step, scheduleOf(lr, steps)));
    const { loss } = await judge.measure(await learner.weights());
    return Number.isFinite(loss) ? loss : null;
  } catch (error) {
    if (!(error instanceof LowrankError) || error.code !== 'NUMERIC') throw error;
    return null;
  } finally {
    await learner.close();
  }
}
