import { LowrankError } from '../../errors.js';

export const fitSchedules = ['linear', 'constant', 'cosine'] as const;
export type FitSchedule = (typeof fitSchedules)[number];

/**
 * How the sampled fits run. The values that arXiv 2202.00834 used are not known: the defaults are our own, chosen on the
 * shapes of ALGORITHMS E.5.
 */
export interface FitSettings {
  /** Steps of Adam in each layer. */
  readonly steps: number;
  /** Inputs that are drawn for each step. */
  readonly batch: number;
  /**
   * Adam's learning rate at the first step; null: `relativeRate` times the root mean square of the entries that a pair
   * starts with, so that a layer is fitted alike at whatever scale its weights are.
   */
  readonly learningRate: number | null;
  /** What becomes of it: it falls to 0 linearly or along half a cosine, or stays. */
  readonly schedule: FitSchedule;
}

export const defaultFitSettings: FitSettings = { steps: 1000, batch: 256, learningRate: null, schedule: 'linear' };

/** Throws USAGE where a number makes no sense. */
export function checkFitSettings({ steps, batch, learningRate }: FitSettings): void {
  const whole: readonly (readonly [string, number])[] = [
    ['--fit-steps', steps],
    ['--fit-batch', batch],
  ];
  for (const [flag, value] of whole) {
    if (Number.isSafeInteger(value) && value >= 1) continue;
    throw new LowrankError('USAGE', `${flag} ${value} is not a positive integer`, { remedy: 'give one such as 256' });
  }
  if (learningRate === null || (Number.isFinite(learningRate) && learningRate > 0)) return;
  throw new LowrankError('USAGE', `--fit-lr ${learningRate} is no learning rate`, { remedy: 'give one such as 3e-4' });
}

/** The learning rate of every step, in units of the first one's. */
export function rateFactors({ steps, schedule }: Pick<FitSettings, 'steps' | 'schedule'>): Float32Array {
  const factor = (step: number): number => {
    const share = step / steps;
    switch (schedule) {
      case 'linear':
        return 1 - share;
      case 'cosine':
        return (1 + Math.cos(Math.PI * share)) / 2;
      case 'constant':
        return 1;
    }
  };
  return Float32Array.from({ length: steps }, (_, step) => factor(step));
}
