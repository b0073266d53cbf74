import { formatPercent, formatPoints, formatRate } from './format.js';
import type { TrainReport, TrainStart, TrainVerdict } from '../contracts/train.js';

/** What was trained with, as far as advice depends on it. */
export interface VerdictSettings {
  readonly lr: number;
  readonly augment: string;
}

/**
 * What the reached weights, an epoch's or with 0 the start's own, are worth against the start, both on the validation images; null
 * where one of the two is missing. `best`: the best epoch, where the start's weights are reached.
 */
export function trainVerdict(
  start: TrainStart | null,
  reached: TrainReport['best'],
  settings: VerdictSettings,
  best: TrainReport['best'] = reached,
): TrainVerdict | null {
  if (start === null || reached === null || best === null) return null;
  const difference = best.top1 - start.valTop1;
  const [after, before] = [formatPercent(best.top1), formatPercent(start.valTop1)];
  const seen = `top-1 ${after} after epoch ${best.epoch}`;
  if (reached.epoch === 0) {
    const than = difference < 0 ? `${formatPoints(difference)} below the ${before} before` : 'no more than before';
    const finding = `no better than before training: ${seen}, the best, is ${than}, so the weights from before training are written`;
    return { level: 'same', finding, advice: difference < 0 || best.top1 < 1 ? lowerRate(settings) : null };
  }
  if (difference > 0) {
    const finding = `better than before training: ${seen}, ${formatPoints(difference)} above the ${before} before`;
    return { level: 'better', finding, advice: null };
  }
  if (difference === 0) {
    const finding = `no better than before training: ${seen}, and ${before} before`;
    return { level: 'same', finding, advice: reached.top1 === 1 ? null : 'try the learning rate of --lr-find' };
  }
  return {
    level: 'worse',
    finding: `worse than before training: ${seen}, ${formatPoints(difference)} below the ${before} before`,
    advice: `${lowerRate(settings)}; until then keep the model that came in`,
  };
}

function lowerRate({ lr, augment }: VerdictSettings): string {
  const plain = augment === 'none' ? '' : ', --augment none';
  return `try a lower --lr than ${formatRate(lr)} (--lr-find suggests one)${plain}, or more images`;
}
