import { inWords, LowrankError, throwIfAborted } from '../errors.js';
import type { Batch } from '../data/batch.js';
import type { LrFindPoint, LrFindReport } from '../contracts/lr-find.js';
import { tool } from '../version.js';
import { formatLoss } from '../report/format.js';
import { drawMasks } from '../step/masks.js';
import { resolveMicroBatch } from './micro-batch.js';
import { checkTrainSettings, type TrainOptions, type TrainSettings } from './options.js';
import { completeCall } from './resume.js';
import { openTrainingSession, type TrainingSession } from './session.js';
import { announceImages, settleImages } from './settle-images.js';

const smallestRate = 1e-6;
const largestRate = 1;
const updates = 100;
/** Share of the old mean in the smoothed loss. */
const smoothing = 0.9;
/** Points on either side over which a slope is taken. */
const reach = 5;
/** The test ends where the smoothed loss is so many times its smallest value and what batches differ by. */
const explosion = 4;
/** Updates with rates that move nothing: they say how the loss begins, and how much batches differ. */
const first = 2 * reach;

/**
 * Learning-rate range test (Smith, Cyclical learning rates for training neural networks, arXiv 1506.01186, section 3.3): the
 * rate rises exponentially from 1e-6 to 1 over 100 updates, and the loss says which are too large. Writes nothing.
 * Throws what `train` throws for models and images that cannot be trained, ABORTED, and NUMERIC where the loss is not finite
 * from the start.
 */
export async function findLearningRate(options: TrainOptions): Promise<LrFindReport> {
  const started = performance.now();
  const call = completeCall(options);
  checkTrainSettings(call.settings);
  const settled = await settleImages(call, call.settings);
  const told = await resolveMicroBatch(call, settled.settings);
  // The loss of every update is looked at before the next one.
  const run = await openTrainingSession(call, told, { readEvery: 1 });
  const { settings } = run;
  try {
    const preparation = announceImages(settled, run, call);
    await run.start(undefined, 0);
    const { points, stopped } = await rise(run, settings, options);
    const { command, data } = call;
    return inWords<LrFindReport>({
      schema: 'lowrank.lr-find/1',
      tool,
      ...(command === undefined ? {} : { command }),
      seed: settings.seed,
      model: { path: options.model, sha256: run.model.sha256 },
      settings: { data, ...settings },
      ...preparation,
      points,
      ...suggest(points),
      stopped,
      seconds: (performance.now() - started) / 1000,
    });
  } finally {
    await run.close();
  }
}

/** The rate of update i, from 0. */
export function rateAt(i: number): number {
  return smallestRate * (largestRate / smallestRate) ** (i / (updates - 1));
}

async function rise(
  run: TrainingSession,
  settings: TrainSettings,
  { signal, progress }: TrainOptions,
): Promise<{ readonly points: readonly LrFindPoint[]; readonly stopped: string | null }> {
  const { trainer, masks } = run;
  const points: LrFindPoint[] = [];
  let mean = 0;
  let least = Infinity;
  const batches = endless(run);
  try {
    for (let i = 0; i < updates; i++) {
      throwIfAborted(signal);
      const lr = rateAt(i);
      let loss = 0;
      for (let micro = 0; micro < settings.accumulate; micro++) {
        const { value } = await batches.next();
        const drawn = drawMasks(masks, settings.batchSize, settings.seed, trainer.step, micro);
        const { images, labels, targets, flips } = value;
        const seen = await trainer.accumulate({ images, labels: targets ?? labels, flips, masks: drawn });
        loss += seen!.loss;
      }
      loss /= settings.accumulate;
      mean = smoothing * mean + (1 - smoothing) * loss;
      const smoothed = mean / (1 - smoothing ** (i + 1));
      points.push({ lr, loss, smoothed });
      least = Math.min(least, smoothed);
      progress?.step({
        ...{ epoch: 1, epochs: 1, step: i + 1, steps: updates, loss: smoothed, top1: 0 },
        ...{ imagesPerSecond: 0, dataWaitShare: 0 },
      });
      if (isExploded(points, least)) return { points, stopped: `the loss exploded at ${lr.toPrecision(3)}` };
      await trainer.update(lr);
    }
  } catch (error) {
    if (!(error instanceof LowrankError) || error.code !== 'NUMERIC' || points.length < 2) throw error;
    return { points, stopped: error.fact };
  } finally {
    await batches.return(undefined as never);
    progress?.done();
  }
  return { points, stopped: null };
}

/** Whether the newest loss is far above the least: the batches of a good model, whose loss is small, differ by more than it. */
function isExploded(points: readonly LrFindPoint[], least: number): boolean {
  if (points.length <= first) return false;
  return points.at(-1)!.smoothed > explosion * (least + batchDeviation(points.slice(0, first)));
}

/** Batches without end, epoch after epoch. */
async function* endless({ loader }: TrainingSession): AsyncGenerator<Batch, never, undefined> {
  for (let epoch = 0; ; epoch++) yield* loader.batches(epoch);
}

type Suggestion = Pick<LrFindReport, 'steepest' | 'smallest' | 'suggestion' | 'reason'>;

/** What the curve says; see the contract. Exported for tests. */
export function suggest(points: readonly LrFindPoint[]): Suggestion {
  const lowest = points.reduce((best, point) => (point.smoothed < best.smoothed ? point : best));
  let steepest: number | null = null;
  let fall = 0;
  // Least squares over a window, whose points lie equally far apart on the logarithmic scale; the first points are noise.
  for (let i = first; i + reach < points.length && points[i]!.lr <= lowest.lr; i++) {
    let slope = 0;
    for (let k = -reach; k <= reach; k++) slope += k * points[i + k]!.smoothed;
    if (slope >= fall) continue;
    fall = slope;
    steepest = points[i]!.lr;
  }
  const reason = whyNone(points, lowest, steepest);
  return { steepest, smallest: lowest.lr, suggestion: reason === null ? lowest.lr / 10 : null, reason };
}

/**
 * Why a curve suggests nothing; null where it falls. A fall counts from the mean of the first points, and must be more than
 * what the losses of two batches differ by: chance alone moves smoothed losses by half of that, now and then.
 */
function whyNone(points: readonly LrFindPoint[], lowest: LrFindPoint, steepest: number | null): string | null {
  if (points.length <= first) return `the test ended after ${points.length} updates`;
  const start = points[first - 1]!.smoothed;
  if (steepest === null || lowest.smoothed >= start)
    return `the loss never falls below the ${formatLoss(start)} that it begins with`;
  const noise = batchDeviation(points.slice(0, Math.max(points.indexOf(lowest), first)));
  if (start - lowest.smoothed > noise) return null;
  return `the loss falls from ${formatLoss(start)} to ${formatLoss(lowest.smoothed)}, no more than it differs from batch to batch (${formatLoss(noise)})`;
}

/** Standard deviation of the losses of batches, from the differences of neighbours: what rises or falls slowly counts little. */
function batchDeviation(points: readonly LrFindPoint[]): number {
  let squares = 0;
  for (let i = 1; i < points.length; i++) squares += (points[i]!.loss - points[i - 1]!.loss) ** 2;
  return Math.sqrt(squares / (2 * (points.length - 1)));
}
