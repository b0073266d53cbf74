/** What came out of a training, in the words of the table and the page. */
import { formatPercent, formatWhole, plural } from './format.js';
import type { TrainReport } from '../contracts/train.js';

/** "epoch 3, the best of 10: top-1 74.7 % on the validation images (44.7 % before training)". */
export function writtenText({ written, start, epochs, data }: TrainReport): string {
  if (written === null) return '';
  const { epoch, valTop1, chosen: why } = written;
  const which = why === 'best' ? `the best of ${formatWhole(epochs.length)}` : 'the last';
  if (valTop1 === null) {
    return `epoch ${epoch}, ${which}${data.val === null ? ': there are no validation images to choose by' : ''}`;
  }
  const before = start === null ? '' : ` (${formatPercent(start.valTop1)} before training)`;
  return `epoch ${epoch}, ${which}: top-1 ${formatPercent(valTop1)} on the validation images${before}`;
}

/** "epoch 10, top-1 74.0 %: the checkpoint …/step-000000600"; '' where nothing was written, or no checkpoint is there. */
export function lastText({ written, epochs, checkpoint }: TrainReport): string {
  const last = epochs.at(-1);
  if (written === null || last === undefined || checkpoint === null) return '';
  const top1 = last.valTop1 === null ? '' : `, top-1 ${formatPercent(last.valTop1)}`;
  return `epoch ${last.epoch}${top1}: the checkpoint ${checkpoint.path}`;
}

/** What an interrupted training has saved; '' for one that was not interrupted. */
export function savedText({ status, checkpoint }: TrainReport): string {
  if (status !== 'interrupted') return '';
  if (checkpoint === null) return 'nothing: no update was done';
  const { path, epoch, steps } = checkpoint;
  return `${plural(epoch, 'whole epoch')}, ${plural(steps, 'update')}: the checkpoint ${path}`;
}

/** How an interrupted training goes on; undefined for one that was not interrupted, or where the command is not known. */
export function goOnText({ status, checkpoint, resume, command }: TrainReport): GoOn | undefined {
  if (status !== 'interrupted') return undefined;
  const [heading, line] = checkpoint === null ? ['begin again with', command] : ['go on with', resume];
  return line === undefined ? undefined : { heading, command: line };
}

/** A heading, and the command line below it. */
export interface GoOn {
  readonly heading: string;
  readonly command: string;
}
