import { LowrankError } from '../errors.js';
import { retreatText } from '../report/train-outcome.js';
import { wilsonInterval } from '../statistics.js';
import type { Bookkeeping } from './bookkeeping.js';
import type { Journal } from './journal.js';

/** Share of the validation images by which top-1 must be below the start, beside being below the 95 % interval of the start. */
const leastFall = 0.02;
/** What the rate is multiplied by each time. */
const factor = 0.5;

/** Whether the training may go back: it has a start that was measured, of the model that it trains. */
function mayRetreat({ start, settings, segment, retreats }: Journal): boolean {
  return start !== null && segment.isAlone && !settings.newHead && retreats.length < settings.retreats;
}

/** Whether the epoch that was finished last is so far below the start that the next one is not to begin with its weights. */
export function isFallen(journal: Journal): boolean {
  const { start, epochs, retreats, session } = journal;
  const last = epochs.at(-1);
  if (!mayRetreat(journal) || last?.valTop1 == null) return false;
  if (retreats.some(({ epoch, valTop1 }) => epoch === last.epoch && valTop1 !== null)) return false;
  const before = start!.valTop1;
  const { images } = session.data.val!;
  const [low] = wilsonInterval(Math.round(before * images), images);
  return last.valTop1 < Math.min(before - leastFall, low);
}

/** Whether an error of an epoch is mended by going back: a loss, a gradient or a weight that is not finite, but for float16, which has a scale for that. */
export function isMendable(journal: Journal, error: unknown): boolean {
  const isNumeric = error instanceof LowrankError && error.code === 'NUMERIC';
  return isNumeric && mayRetreat(journal) && journal.session.trainer.lossScale === undefined;
}

/** Puts the best weights so far, or the start's, in place of those behind `step` updates, with half of the rate from here on. */
export async function goBack(
  journal: Journal,
  bookkeeping: Bookkeeping,
  bad: { readonly epoch: number; readonly valTop1: number | null },
  step: number,
): Promise<void> {
  const { session, retreats, call, start } = journal;
  const { epoch: to, state } = await bookkeeping.best();
  const { epoch, valTop1 } = bad;
  const retreat = { epoch, valTop1, to, rateFactor: factor ** (retreats.length + 1) };
  retreats.push(retreat);
  await session.start(state, step, session.trainer.lossScale);
  bookkeeping.dropBehind(step);
  call.progress?.note(retreatText(retreat, start));
}
