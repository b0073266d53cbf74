import type { RateTrial } from '../contracts/recover.js';
import type { Loader } from '../data/loader.js';
import { LowrankError } from '../errors.js';
import type { TrainingState } from '../step/vectors.js';
import type { Judge } from './judge.js';
import { Learner, type Learning } from './learner.js';

/** Where trials begin: Adam's updates are as large as the rate, those of SGD as the gradient. */
const firstRates = { adam: 1e-4, adamw: 1e-4, rmsprop: 1e-4, sgd: 1e-3 } as const;
const factor = 3;
const mostTrials = 7;

/** Updates of a trial: a share of the training, within bounds. */
export function trialSteps(steps: number): number {
  return Math.max(8, Math.min(30, Math.round(steps / 20)));
}

/**
 * Finds a learning rate by short trainings that all begin at one state and see the same pictures: the rate grows by 3 until the
 * pictures that are kept out say that it was too large, and the best of them is taken. Where the first is too large already
 * it shrinks.
 */
export async function findRate(
  learning: Learning,
  loader: Loader,
  state: TrainingState,
  judge: Judge,
  onTrial: (trial: RateTrial) => void,
): Promise<{ readonly lr: number; readonly trials: readonly RateTrial[] }> {
  const { settings } = learning;
  const steps = trialSteps(settings.steps);
  const start = (await judge.measure(state)).loss;
  const trials: RateTrial[] = [];
  const run = async (lr: number): Promise<RateTrial> => {
    const trial = { lr, steps, loss: await lossBehind(learning, loader, state, judge, lr, steps) };
    trials.push(trial);
    onTrial(trial);
    return trial;
  };
  const valueOf = ({ loss }: RateTrial): number => loss ?? Infinity;
  let best = await run(firstRates[settings.optimizer]);
  for (let lr = best.lr * factor; trials.length < mostTrials; lr *= factor) {
    const trial = await run(lr);
    if (valueOf(trial) >= valueOf(best)) break;
    best = trial;
  }
  if (trials.length === 2 || valueOf(best) >= start) {
    for (let lr = trials[0]!.lr / factor; trials.length < mostTrials; lr /= factor) {
      const trial = await run(lr);
      const isBetter = valueOf(trial) < valueOf(best);
      if (isBetter) best = trial;
      else if (valueOf(best) < start) break;
    }
  }
  return { lr: best.lr, trials };
}

async function lossBehind(
  learning: Learning,
  loader: Loader,
  state: TrainingState,
  judge: Judge,
  lr: number,
  steps: number,
): Promise<number | null> {
  const learner = await Learner.start(learning, loader, state);
  const warmup = Math.ceil(steps / 4);
  try {
    for (let step = 0; step < steps; step++) await learner.step(lr * Math.min(1, (step + 1) / warmup));
    const { loss } = await judge.measure(await learner.weights());
    return Number.isFinite(loss) ? loss : null;
  } catch (error) {
    if (!(error instanceof LowrankError) || error.code !== 'NUMERIC') throw error;
    return null;
  } finally {
    await learner.close();
  }
}
