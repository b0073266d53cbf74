import type { TrainReport } from '../contracts/train.js';
import { trainSegments, wholeTraining } from '../training/loop.js';
import type { TrainOptions } from '../training/options.js';
import type { RunMode } from '../training/session.js';

/** λ of the decay of the pairs' products, as Cuttlefish has it behind the conversion. */
const usualDecay = 1e-4;

/**
 * Trains a model, and writes it with its trained weights: otherwise byte for byte the model that came in. Written are the
 * weights of the best epoch by the validation images, or of the last. Checkpoints lie in `<output>.checkpoints`; a training
 * that is interrupted (`signal`) saves one and reports `interrupted`, or throws ABORTED where it had not begun yet.
 * On CPU, with the same threads, a resumed training equals an uninterrupted one bit for bit.
 *
 * With `warmupFull` the model of that epoch is converted as `conversion` says (`ThenOptions`), and its pairs are trained for the rest:
 * one schedule, one report, one chain of checkpoints. The best epoch is one of those; the products of the pairs are decayed by
 * 1e-4 where `frobeniusDecay` says no other number.
 *
 * Throws INPUT, USAGE, UNSUPPORTED for what cannot be trained or has no layer to convert, OUTPUT where another process trains into
 * this output or it cannot be written, NUMERIC where the loss is not finite: the last checkpoint is then from before.
 */
export function train(options: TrainOptions, mode: RunMode = {}): Promise<TrainReport> {
  return trainSegments(withDecay(options), async (call) => {
    if (call.settings.warmupFull === null) return [wholeTraining(call, mode)];
    const { warmupSegments } = await import('./segments.js');
    return warmupSegments(call, mode);
  });
}

function withDecay(options: TrainOptions): TrainOptions {
  const { settings, resume } = options;
  const isConverted = settings?.warmupFull !== undefined && settings.warmupFull !== null;
  if (!isConverted || resume === true || settings.frobeniusDecay !== undefined) return options;
  return { ...options, settings: { ...settings, frobeniusDecay: usualDecay } };
}
