import type { AccuracyTrial } from '../contracts/accuracy-budget.js';
import { pointsIntervalText, pointsText } from './eval-text.js';
import { formatPercent, formatSeconds, plural } from './format.js';
import { timeLeft } from './progress.js';

export interface SearchStart {
  readonly points: number;
  /** Models that are tried at most. */
  readonly most: number;
  readonly original: { readonly top1: number; readonly predicted: { readonly length: number } };
  /** What the evaluation of the original took; undefined where it was known. */
  readonly seconds: number | undefined;
  /** What the last one is fitted by, where that is another fit than that of the others. */
  readonly last: string | undefined;
}

/** What a search is going to do, in one line, with what is known of the time. */
export function searchText({ points, most, original, seconds, last }: SearchStart): string {
  const { top1, predicted } = original;
  const images = plural(predicted.length, 'image');
  const trials = `accuracy budget ${points}: the original has top-1 ${formatPercent(top1)}; at most ${plural(most, 'model')} on ${images}`;
  const time = seconds === undefined ? '' : `, about ${formatSeconds(seconds * most)} of evaluation beside the fits`;
  return `${trials}${time}${last === undefined ? '' : `; the last is fitted by ${last}`}`;
}

export interface TrialPlace {
  readonly number: number;
  readonly points: number;
  /** Of the original. */
  readonly totals: { readonly params: number; readonly macs: number };
  readonly secondsLeft: number;
}

/** One model of a search in one line, with the time that is left at most. */
export function trialText(trial: AccuracyTrial, { number, points, totals, secondsLeft }: TrialPlace): string {
  const { purpose, init, ranks, macs, params, top1, drop, ci95, isWithinBudget, isCached, seconds } = trial;
  const size = `${formatPercent(macs / totals.macs)} of MACs, ${formatPercent(params / totals.params)} of parameters`;
  const fitted = `${plural(Object.keys(ranks).length, 'layer')}${init === undefined ? '' : ` by ${init}`}`;
  const verdict = isWithinBudget ? 'within' : 'beyond';
  const use = purpose === 'sensitivity' ? `for the price of errors` : `${verdict} ${points}`;
  const lost = `top-1 ${formatPercent(top1)}, drop ${pointsText(drop)} (95 %: ${pointsIntervalText(ci95)}), ${use}`;
  const time = `${formatSeconds(seconds)}${isCached ? ', evaluated before' : ''}`;
  const left = secondsLeft > 0 ? `; at most ${timeLeft(secondsLeft)}` : '';
  return `trial ${number}: ${size}, ${fitted}; ${lost}; ${time}${left}`;
}
