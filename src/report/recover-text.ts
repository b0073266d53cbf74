import type { BlockRecovery, Closeness, RateTrial, RecoverEvaluation } from '../contracts/recover.js';
import { formatLoss, formatPercent, formatRate } from './format.js';

/** "loss 0.4321  agreement 93.0 %" */
function closenessText({ loss, agreement }: Closeness): string {
  return `loss ${formatLoss(loss)}${agreement === null ? '' : `  agreement ${formatPercent(agreement)}`}`;
}

/** What the pictures that are kept out say before the first update. */
export function startLine(start: Closeness): string {
  return `before training  ${closenessText(start)}`;
}

/** "rate 0.001: loss 0.43 behind 20 updates" */
export function trialLine({ lr, steps, loss }: RateTrial): string {
  return `rate ${formatRate(lr)}: ${loss === null ? 'no finite loss' : `loss ${formatLoss(loss)}`} behind ${steps} updates`;
}

/** "block 3/12 'layer2.0/add': error 0.21 -> 0.08 of 40,000 parameters" */
export function blockLine({ name, start, written, step }: BlockRecovery, number: number, count: number): string {
  const result = step === 0 ? 'stays as it is' : `${formatLoss(written)} behind ${step} updates`;
  return `block ${String(number).padStart(String(count).length)}/${count} '${name}': loss ${formatLoss(start)} -> ${result}`;
}

/** What those pictures say behind the last block. */
export function behindBlocksLine(found: Closeness): string {
  return `behind the blocks  ${closenessText(found)}`;
}

/** "step 100/400  training loss 0.5  loss 0.4  agreement 95.0 %  lr 0.001" */
export function evaluationLine({ step, trainingLoss, lr, ...closeness }: RecoverEvaluation, steps: number): string {
  const place = `step ${String(step).padStart(String(steps).length)}/${steps}`;
  return `${place}  training loss ${formatLoss(trainingLoss)}  ${closenessText(closeness)}  lr ${formatRate(lr)}`;
}
