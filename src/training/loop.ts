import type { TrainReport } from '../contracts/train.js';
import { imageReads } from '../data/paths.js';
import { checkPaths, type PathUse, reads, writes } from '../files/conflicts.js';
import { LowrankError } from '../errors.js';
import { takeLock } from '../files/lock.js';
import { checkWritable } from '../files/write-file.js';
import { modelReads, modelWrites } from '../graph/model-paths.js';
import { requireFresh } from './bookkeeping.js';
import { checkpointsOf, openCheckpoints } from './checkpoint.js';
import { resolveMicroBatch } from './micro-batch.js';
import { checkTrainSettings, type TrainCall, type TrainOptions } from './options.js';
import { resolveRate } from './rate-trials.js';
import { completeCall } from './resume.js';
import { runSegments, type Segment } from './segments.js';
import { closeInTime, openTrainingSession, type RunMode } from './session.js';
import { announceImages, settleImages } from './settle-images.js';

/**
 * Trains a model, and writes it with its trained weights: otherwise byte for byte the model that came in. Written are the
 * weights of the best epoch by the validation images, or of the last. Checkpoints lie in `<output>.checkpoints`; a training
 * that is interrupted (`signal`) saves one and reports `interrupted`, or throws ABORTED where it had not begun yet.
 * On CPU, with the same threads, a resumed training equals an uninterrupted one bit for bit.
 * Throws INPUT, USAGE, UNSUPPORTED for what cannot be trained (with `warmupFull` USAGE: that is for src/warmup), OUTPUT where another process trains into this output or it
 * cannot be written, NUMERIC where the loss is not finite: the last checkpoint is then from before.
 */
export function train(options: TrainOptions, mode: RunMode = {}): Promise<TrainReport> {
  return trainSegments(options, (call) => {
    if (call.settings.warmupFull === null) return [wholeTraining(call, mode)];
    throw new LowrankError('USAGE', 'the model that is trained here is not converted while it is', {
      place: '--warmup-full',
      remedy: 'leave out --warmup-full',
    });
  });
}

/** As `train`, with graphs that are rebuilt between the segments; the call is what the training was told, completed. */
export async function trainSegments(
  options: TrainOptions,
  segmentsOf: (call: TrainCall) => readonly Segment[] | Promise<readonly Segment[]>,
): Promise<TrainReport> {
  const started = performance.now();
  const isResumed = options.resume === true;
  const begun = isResumed ? undefined : checkedCall(options);
  checkPaths(trainPaths(options));
  checkWritable(options.output, options.force === true || isResumed);
  const lock = takeLock(`${options.output}.lock`);
  try {
    const call = begun ?? resumedCall(options);
    return await runSegments(call, await segmentsOf(call), started);
  } finally {
    lock.release();
  }
}

/** A training whose graphs are never rebuilt. */
export function wholeTraining(call: TrainCall, mode: RunMode): Segment {
  return {
    name: 'whole',
    epochs: call.settings.epochs,
    async open() {
      // Before anything is tried.
      requireFresh(call);
      const settled = await settleImages(call, call.settings);
      const settings = await resolveMicroBatch(call, settled.settings, mode);
      const session = await openTrainingSession(call, settings, mode);
      try {
        const announced = announceImages(settled, session, call);
        return { session, ...announced, ...(await resolveRate(call, session)) };
      } catch (error) {
        await closeInTime(session, call.signal);
        throw error;
      }
    },
  };
}

function checkedCall(options: TrainOptions): TrainCall {
  const call = completeCall(options);
  checkTrainSettings(call.settings);
  return call;
}

/** The call of a training that goes on; its checkpoints are looked at under the lock alone. */
function resumedCall(options: TrainOptions): TrainCall {
  // What a killed training has renamed is found again.
  openCheckpoints(checkpointsOf(options.output), 1);
  const call = checkedCall(options);
  checkPaths(trainPaths(call));
  return call;
}

/** The files that `train` reads and writes. */
export function trainPaths({ model, output, data, val, classes, tensorboard }: TrainOptions): readonly PathUse[] {
  return [
    ...modelReads(model),
    ...(data === undefined ? [] : imageReads(data, 'the images', '--data')),
    ...(val === undefined ? [] : imageReads(val, 'the validation images', '--val')),
    ...(classes === undefined ? [] : [reads(classes, 'the class list', '--classes')]),
    ...modelWrites(output),
    writes(checkpointsOf(output), 'the folder of checkpoints', '-o', 'folder'),
    writes(`${output}.lock`, 'the lock of the output', '-o'),
    ...(tensorboard === undefined
      ? []
      : [writes(tensorboard, 'the folder of TensorBoard events', '--tensorboard', 'shared')]),
  ];
}
