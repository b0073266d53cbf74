import { formatPercent, formatRate } from './format.js';
import type { TrainReport, TrainStart, TrainVerdict } from '../contracts/train.js';

/** What was trained with, as far as advice depends on it. */
export interface VerdictSettings {
  readonly lr: number;
  readonly augment: string;
}

const points = (share: number): string => `${(100 * Math.abs(share)).toFixed(2)} points`;

/** What an epoch is worth against the start, both on the validation images; null where one of the two is missing. */
export function trainVerdict(
  start: TrainStart | null,
  reached: TrainReport['best'],
  { lr, augment }: VerdictSettings,
): TrainVerdict | null {
  if (start === null || reached === null) return null;
  const difference = reached.top1 - start.valTop1;
  const [after, before] = [formatPercent(reached.top1), formatPercent(start.valTop1)];
  const seen = `top-1 ${after} after epoch ${reached.epoch}`;
  if (difference > 0) {
    const finding = `better than before training: ${seen}, ${points(difference)} above the ${before} before`;
    return { level: 'better', finding, advice: null };
  }
  if (difference === 0) {
    const finding = `no better than before training: ${seen}, and ${before} before`;
    return { level: 'same', finding, advice: reached.top1 === 1 ? null : 'try the learning rate of --lr-find' };
  }
  const plain = augment === 'none' ? '' : ', --augment none';
  return {
    level: 'worse',
    finding: `worse than before training: ${seen}, ${points(difference)} below the ${before} before`,
    advice: `try a lower --lr than ${formatRate(lr)} (--lr-find suggests one)${plain}, or more images; until then keep the model that came in`,
  };
}
