import type { ModelSummary } from '../contracts/convert.js';
import { prepareModel, summarize } from '../rewrite/prepare.js';
import { loadDriver } from '../runtime/driver.js';
import type { Journal } from '../training/journal.js';
import { resolveMicroBatch } from '../training/micro-batch.js';
import type { TrainCall } from '../training/options.js';
import { resolveRate } from '../training/rate-trials.js';
import type { OpenedSegment } from '../training/segments.js';
import { closeInTime, openTrainingSession, type RunMode } from '../training/session.js';
import { preparationOf, settleImages } from '../training/settle-images.js';

/**
 * Opens the model of pairs with the settings of the epochs before: images as the model that came in says, the batch that fitted, the
 * rate that was found. Where no epoch was trained by this process, `before` is undefined, and the checkpoint says it.
 */
export async function openPairs(
  path: string,
  call: TrainCall,
  mode: RunMode,
  before: Journal | undefined,
): Promise<OpenedSegment> {
  const settled = await settleImages(call, call.settings);
  const settings = before?.settings ?? (await resolveMicroBatch({ ...call, model: path }, settled.settings, mode));
  const origin = before?.session.model ?? (await summaryOf(call));
  // The model has its new head by now.
  const session = await openTrainingSession({ ...call, model: path, origin }, { ...settings, newHead: false }, mode);
  try {
    const preparation = preparationOf(settled, session);
    const shown = preparation === undefined ? {} : { preparation };
    if (before !== undefined) return { session, settings, foundRate: before.foundRate, ...shown };
    const rated = await resolveRate(call, session);
    return { session, ...rated, settings: { ...rated.settings, newHead: settings.newHead }, ...shown };
  } catch (error) {
    await closeInTime(session, call.signal);
    throw error;
  }
}

async function summaryOf({ model: path, signal }: TrainCall): Promise<ModelSummary> {
  const { model, shapes } = await prepareModel(path, { driver: loadDriver, signal });
  try {
    return summarize(model, shapes, path);
  } finally {
    model.file?.close();
  }
}
