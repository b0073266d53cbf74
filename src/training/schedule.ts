import { LowrankError } from '../errors.js';
import type { TrainSettings } from './options.js';

export const scheduleNames = ['cosine', 'step', 'constant'] as const;
export type ScheduleName = (typeof scheduleNames)[number];

export interface Schedule {
  readonly kind: ScheduleName;
  /** The largest learning rate, reached at the end of the warm-up. */
  readonly base: number;
  /** Steps in which the rate rises from 0: base · t / warmup. */
  readonly warmup: number;
  /** All steps of the training. */
  readonly total: number;
  /** `cosine`: where it ends. */
  readonly minimum: number;
  /** `step`: steps between two reductions, counted from the start of the training. */
  readonly period: number;
  /** `step`: what the rate is multiplied by. */
  readonly factor: number;
}

/** The schedule that settings describe. */
export function scheduleOf(settings: TrainSettings, stepsPerEpoch: number): Schedule {
  return {
    kind: settings.schedule,
    base: settings.lr,
    warmup: Math.round(settings.warmup * stepsPerEpoch),
    total: settings.epochs * stepsPerEpoch,
    minimum: settings.minLr,
    period: Math.max(1, Math.round(settings.decayEvery * stepsPerEpoch)),
    factor: settings.decayFactor,
  };
}

/**
 * The learning rate of step t, from 0. Cosine (Loshchilov and Hutter, arXiv 1608.03983, without restarts):
 * minimum + (base − minimum) (1 + cos(π (t − warmup) / (total − warmup))) / 2 behind the warm-up.
 */
export function learningRateAt(step: number, schedule: Schedule): number {
  const { kind, base, warmup, total, minimum, period, factor } = schedule;
  if (step < warmup) return (base * step) / warmup;
  switch (kind) {
    case 'constant':
      return base;
    case 'step':
      return base * factor ** Math.floor(step / period);
    case 'cosine':
      return minimum + ((base - minimum) * (1 + Math.cos((Math.PI * (step - warmup)) / (total - warmup)))) / 2;
  }
}

/** Throws USAGE for schedules that make no sense. */
export function checkSchedule({ base, warmup, total, minimum }: Schedule): void {
  if (!(base > 0)) throw new LowrankError('USAGE', `the learning rate is ${base}`, { remedy: 'give a number above 0' });
  if (minimum < 0 || minimum > base) {
    throw new LowrankError('USAGE', `the smallest learning rate is ${minimum}`, { remedy: `choose 0 to ${base}` });
  }
  if (warmup > 0 && warmup >= total) {
    throw new LowrankError('USAGE', `a warm-up of ${warmup} steps in a training of ${total}`, {
      remedy: 'lower --warmup, or train longer',
    });
  }
}
