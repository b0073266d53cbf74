import type { RateTrial } from '../contracts/recover.js';
import type { FoundRate } from '../contracts/train.js';
import type { Batch } from '../data/batch.js';
import { LowrankError, throwIfAborted } from '../errors.js';
import { trialLine } from '../report/recover-text.js';
import { formatLoss, formatRate, plural } from '../report/format.js';
import { drawMasks } from '../step/masks.js';
import { copyState, type TrainingState } from '../step/vectors.js';
import { chosenRate, valueOf } from './chosen-rate.js';
import { newestState } from './newest-checkpoint.js';
import type { TrainCall, TrainSettings } from './options.js';
import type { RateJudge } from './rate-judge.js';
import { learningRateAt, type Schedule } from './schedule.js';
import type { TrainingSession } from './session.js';

/** Between two rates. */
const factor = 3;
/** Rates below the largest, where the trials begin. */
const rungs = 5;
const mostTrials = 7;
/** Share of the training that a trial is as long as, and its bounds in updates. */
const share = 1 / 25;
const [leastSteps, mostSteps] = [10, 40];
/** Share of a trial in which the rate rises. */
const warmupShare = 1 / 4;

/** The settings of a training with the learning rate that they are to have, and how it was found, if it was. */
export interface SettledRate {
  readonly settings: TrainSettings;
  readonly foundRate: FoundRate | undefined;
}

/**
 * The settings with `lrTrials` carried out: `lr` is what was found, or what the checkpoint found that the training goes on from.
 * The session is not started then. Throws ABORTED, RUNTIME, and NUMERIC where no rate gives a loss that is finite.
 */
export async function resolveRate(call: TrainCall, session: TrainingSession): Promise<SettledRate> {
  const { settings } = session;
  if (!settings.lrTrials) return { settings, foundRate: undefined };
  const foundRate = call.resume === true ? newestState(call.output).foundRate : await findRate(call, session);
  return { settings: foundRate === undefined ? settings : { ...settings, lr: foundRate.lr }, foundRate };
}

/** Updates of a trial. */
export function trialSteps(updates: number): number {
  return Math.min(updates, mostSteps, Math.max(leastSteps, Math.round(updates * share)));
}

/**
 * Finds a learning rate by short trainings that all begin at the start, see the same batches and end as the whole training does: the
 * rate grows by 3, to at most `lr`, until images that are not trained on say that it was too large. Where the first is too large
 * already, it shrinks. Of those that gain nearly as much as the best, the largest is taken.
 */
async function findRate(call: TrainCall, session: TrainingSession): Promise<FoundRate> {
  const { settings, stepsPerEpoch } = session;
  const { progress, signal } = call;
  const steps = trialSteps(settings.epochs * stepsPerEpoch);
  const initial = await session.initial();
  const judge = session.openRateJudge();
  const trials: RateTrial[] = [];
  const run = async (lr: number): Promise<RateTrial> => {
    throwIfAborted(signal);
    const trial = { lr, steps, loss: await lossBehind(call, session, judge, copyState(initial), lr, steps) };
    trials.push(trial);
    progress?.note(`learning rate: ${trialLine(trial)}`);
    return trial;
  };
  try {
    await session.start(copyState(initial), 0);
    const startLoss = finite(await judge.loss(signal));
    const { images, from } = judge;
    progress?.note(
      `learning rate: tried on ${plural(images, `${from} image`)}${startLoss === null ? '' : `, whose loss is ${formatLoss(startLoss)}`}`,
    );
    await climb(run, settings, startLoss ?? Infinity);
    const lr = chosenRate(trials, startLoss ?? Infinity);
    progress?.note(`learning rate: ${formatRate(lr)}, of ${plural(trials.length, 'trial')}`);
    return { lr, images, from, startLoss, trials };
  } finally {
    await judge.close();
  }
}

/** Runs trials up to the first rate that is worse than one before or, where the smallest is the best, down to where it is no better. */
async function climb(
  run: (lr: number) => Promise<RateTrial>,
  { lr: largest, minLr }: TrainSettings,
  startLoss: number,
): Promise<void> {
  const first = Math.max(largest / factor ** rungs, minLr);
  let best = await run(first);
  let count = 1;
  for (let rung = rungs - 1; rung >= 0; rung--) {
    const lr = largest / factor ** rung;
    if (lr <= first) continue;
    const trial = await run(lr);
    count++;
    if (valueOf(trial) >= valueOf(best)) break;
    best = trial;
  }
  if (best.lr !== first) return;
  for (let lr = first / factor; lr >= minLr && count < mostTrials; lr /= factor, count++) {
    const trial = await run(lr);
    if (valueOf(trial) < valueOf(best)) best = trial;
    else if (valueOf(best) < startLoss) break;
  }
}

/** Mean loss behind a short training; null where a loss or a gradient was not finite. */
async function lossBehind(
  { signal }: TrainCall,
  session: TrainingSession,
  judge: RateJudge,
  state: TrainingState,
  lr: number,
  steps: number,
): Promise<number | null> {
  await session.start(state, 0);
  const { trainer, masks, settings } = session;
  const { accumulate, batchSize, seed } = settings;
  const schedule = trialSchedule(settings, lr, steps);
  const batches = endless(session, judge.batches);
  try {
    for (let step = 0; step < steps; step++) {
      for (let micro = 0; micro < accumulate; micro++) {
        throwIfAborted(signal);
        const { images, labels, targets, flips } = (await batches.next()).value;
        const drawn = drawMasks(masks, batchSize, seed, step, micro);
        await trainer.accumulate({ images, labels: targets ?? labels, flips, masks: drawn });
      }
      // Not from 0, at which an update changes nothing.
      await trainer.update(learningRateAt(step + 1, schedule));
    }
    await trainer.collect();
    return finite(await judge.loss(signal));
  } catch (error) {
    if (!(error instanceof LowrankError) || error.code !== 'NUMERIC') throw error;
    return null;
  } finally {
    await batches.return(undefined as never);
  }
}

function trialSchedule(settings: TrainSettings, lr: number, steps: number): Schedule {
  const kind = settings.schedule === 'cosine' ? 'cosine' : 'constant';
  return { kind, base: lr, warmup: Math.ceil(steps * warmupShare), total: steps + 1, minimum: 0, period: 1, factor: 1 };
}

/** The first batches of the first epoch, again and again. */
async function* endless({ loader }: TrainingSession, count: number): AsyncGenerator<Batch, never, undefined> {
  for (;;) {
    let left = count;
    for await (const batch of loader.batches(0)) {
      yield batch;
      if (--left === 0) break;
    }
  }
}

const finite = (loss: number): number | null => (Number.isFinite(loss) ? loss : null);
