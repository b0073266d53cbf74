import type { Agreement, ChangeUnit, RankRule, SensitivityReport } from '../contracts/convert.js';
import { intervalText } from './eval-text.js';
import { formatError, formatPercent, formatSeconds, formatSmall, plural } from './format.js';

/** Outputs whose errors are told one by one. */
const mostOutputs = 4;

/** How much the converted model agrees with the original, in one line. */
export function agreementText(agreement: Agreement): string {
  const { top1, kl } = agreement;
  const shown = imagesText(agreement);
  const divergence = kl === null ? '' : klText(kl);
  if (top1 !== null) {
    const same = `${formatPercent(top1.share)} of ${shown} get the same class (95 %: ${intervalText(top1.ci95)})`;
    return divergence === '' ? same : `${same}, ${divergence}`;
  }
  return `${divergence === '' ? errorsText(agreement) : `${divergence} a class`}, on ${shown}`;
}

function imagesText({ data, images }: Agreement): string {
  return data === 'synthetic'
    ? plural(images, 'kept-out synthetic picture')
    : `${plural(images, 'kept-out image')} from ${data}`;
}

function klText({ mean, ci95: [low, high] }: NonNullable<Agreement['kl']>): string {
  return `KL ${formatSmall(mean)} nats (95 %: ${formatSmall(low)} to ${formatSmall(high)})`;
}

/** Relative errors of the outputs. */
function errorsText({ outputs }: Agreement): string {
  const [only] = outputs;
  if (only === undefined) return 'no output has a relative error';
  if (outputs.length === 1) return `relative error ${formatError(only.relativeError)}`;
  const each = outputs
    .slice(0, mostOutputs)
    .map(({ name, relativeError }) => `${name} ${formatError(relativeError)}`)
    .join(', ');
  const others = outputs.length - mostOutputs;
  return `relative errors ${each}${others > 0 ? ` and ${others} more` : ''}`;
}

/** How ranks were chosen, in one line. */
export function sensitivityText({ by, reason, images, seconds, rules = [] }: SensitivityReport): string {
  const chosen = rules.find(({ isChosen }) => isChosen)?.rule ?? (by === 'gradients' ? 'outputs' : 'losses');
  const found = by === 'gradients' ? `: gradients of ${plural(images, 'image')}` : '';
  const why = reason === undefined ? '' : ` (${reason})`;
  const best = rules.length > 1 ? `, the best of ${rules.length} ways that were measured` : '';
  return `by ${ruleTexts[chosen]}${found}${why}, ${formatSeconds(seconds)}${best}`;
}

/** What ranks are weighed by, in a few words. */
export const ruleTexts: Readonly<Record<RankRule, string>> = {
  outputs: 'what the outputs feel of each layer',
  both: 'what the outputs feel of each layer and what it loses',
  all: 'what the outputs feel of each layer, what it loses and what its weights lose',
  losses: "the layers' own errors",
  weights: 'the lost share of the weights',
  wide: 'what the outputs feel of each layer, with no rank of 1',
};

/** What changes of the outputs are, in a few words. */
export const changeUnitTexts: Readonly<Record<ChangeUnit, { readonly short: string; readonly long: string }>> = {
  kl: { short: 'KL', long: 'KL divergence from the original, in nats' },
  'squared-error': { short: 'change', long: 'half the squared relative error of the outputs' },
};
