/** What came out of a training, in the words of the table and the page. */
import {
  formatCount,
  formatLoss,
  formatPercent,
  formatPoints,
  formatRate,
  formatRatio,
  formatWhole,
  plural,
} from './format.js';
import type { Ratio } from '../contracts/convert.js';
import type { FoundRate, TrainConversion, TrainReport, TrainRetreat, TrainStart } from '../contracts/train.js';

/**
 * "epoch 3, the best of 10: top-1 74.7 % on the validation images (44.7 % before training)"; "the weights from before training: none
 * of 10 epochs was better than their top-1 74.7 % on the validation images".
 */
export function writtenText({ written, start, epochs, data, conversion, settings }: TrainReport): string {
  if (written === null) return '';
  const { epoch, valTop1, chosen: why } = written;
  if (why === 'start' && valTop1 !== null) {
    const none = epochs.length === 1 ? 'the one epoch was no' : `none of ${formatWhole(epochs.length)} epochs was`;
    return `the weights from before training: ${none} better than their top-1 ${formatPercent(valTop1)} on the validation images`;
  }
  // Those in full rank are of another model.
  const count = epochs.length - (conversion?.epoch ?? 0);
  const among = conversion === undefined ? '' : ' of pairs';
  const hasSize = (settings['targetParams'] ?? settings['targetMacs'] ?? null) !== null;
  const best = hasSize ? 'the best of those of the size asked for' : `the best of ${formatWhole(count)}${among}`;
  const which = why === 'best' ? best : 'the last';
  if (valTop1 === null) {
    return `epoch ${epoch}, ${which}${data.val === null ? ': there are no validation images to choose by' : ''}`;
  }
  const before = start === null ? '' : ` (${formatPercent(start.valTop1)} before training)`;
  return `epoch ${epoch}, ${which}: top-1 ${formatPercent(valTop1)} on the validation images${before}`;
}

/** "epoch 1 was 21.70 points below the start: back to the weights from before training, with half of the learning rate". */
export function retreatText({ epoch, valTop1, to }: TrainRetreat, start: TrainStart | null): string {
  const reason =
    valTop1 === null || start === null
      ? `epoch ${epoch} had a loss, a gradient or a weight that was not finite`
      : `epoch ${epoch} was ${formatPoints(start.valTop1 - valTop1)} below the start`;
  const weights = to === 0 ? 'the weights from before training' : `the weights of epoch ${to}`;
  return `${reason}: back to ${weights}, with half of the learning rate`;
}

/** "0.000185, of 4 that were tried on 400 validation images (loss 0.7515 before): loss 0.71 with 0.0000617, …". */
export function foundRateText({ lr, images, from, startLoss, trials }: FoundRate): string {
  const before = startLoss === null ? '' : ` (loss ${formatLoss(startLoss)} before)`;
  const tried = trials.map(
    (trial) =>
      `${trial.loss === null ? 'no finite loss' : `loss ${formatLoss(trial.loss)}`} with ${formatRate(trial.lr)}`,
  );
  return `${formatRate(lr)}, of ${formatWhole(trials.length)} that were tried on ${plural(images, `${from} image`)}${before}: ${tried.join(', ')}`;
}

/** "epoch 12: converted: 16 layers, parameters 11.2 M → 3.34 M (0.299x), MACs 556 M → 201 M (0.362x), val loss 0.5012 → 0.5213, val top-1 86.1 % → 85.7 %". */
export function conversionText({ epoch, layers, params, macs, before, after }: TrainConversion): string {
  const change = (what: string, { before: from, after: to, ratio }: Ratio): string =>
    `${what} ${formatCount(from)} → ${formatCount(to)} (${formatRatio(ratio)})`;
  const loss = ({ valLoss }: TrainStart): string => (valLoss === null ? 'not finite' : formatLoss(valLoss));
  return [
    `epoch ${epoch}: converted: ${plural(layers.length, 'layer')}`,
    change('parameters', params),
    change('MACs', macs),
    ...(before === null || after === null
      ? []
      : [
          `val loss ${loss(before)} → ${loss(after)}`,
          `val top-1 ${formatPercent(before.valTop1)} → ${formatPercent(after.valTop1)}`,
        ]),
  ].join(', ');
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
