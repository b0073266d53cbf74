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
  /** `step`: steps behind which the rate is reduced, in the place of the period. */
  readonly at?: readonly number[];
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
    at: settings.decayAt.map((epoch) => Math.round(epoch * stepsPerEpoch)),
    factor: settings.decayFactor,
  };
}

/**
 * The learning rate of step t, from 0. Cosine (Loshchilov and Hutter, arXiv 1608.03983, without restarts):
 * minimum + (base − minimum) (1 + cos(π (t − warmup) / (total − warmup))) / 2 behind the warm-up.
 */
export function learningRateAt(step: number, schedule: Schedule): number {
  const { kind, base, warmup, total, minimum, period, at = [], factor } = schedule;
  if (step < warmup) return (base * step) / warmup;
  switch (kind) {
    case 'constant':
      return base;
    case 'step':
      return base * factor ** (at.length > 0 ? at.filter((from) => step >= from).length : Math.floor(step / period));
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

/** Throws USAGE for epochs of reductions that no schedule has. */
export function checkDecayEpochs({ schedule, decayAt }: Pick<TrainSettings, 'schedule' | 'decayAt'>): void {
  const wrong = decayAt.find((epoch) => !(Number.isFinite(epoch) && epoch > 0));
  if (wrong !== undefined) {
    throw new LowrankError('USAGE', `the rate is to fall behind epoch ${wrong}`, {
      place: '--decay-at',
      remedy: 'give epochs above 0, such as 150,250',
    });
  }
  if (decayAt.length === 0 || schedule === 'step') return;
  throw new LowrankError('USAGE', `a ${schedule} schedule has no epochs of reductions`, {
    place: '--decay-at',
    remedy: 'give --schedule step, or leave it out',
  });
}
