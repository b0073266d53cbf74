import { describe, expect, it } from 'vitest';
import { epochsOf } from '../../src/cli/schedule-options.js';
import { checkTrainSettings, defaultTrainSettings, type TrainSettings } from '../../src/training/options.js';
import { learningRateAt, scheduleOf } from '../../src/training/schedule.js';

const settings = (own: Partial<TrainSettings>): TrainSettings => ({
  ...defaultTrainSettings,
  epochs: 300,
  lr: 0.1,
  ...own,
});

describe('a schedule of steps', () => {
  it('falls behind the epochs that are given, or behind every so many', () => {
    const given = scheduleOf(settings({ schedule: 'step', decayAt: [150, 250] }), 10);
    const rates = [0, 1499, 1500, 2499, 2500, 2999].map((step) => learningRateAt(step, given));
    [0.1, 0.1, 0.01, 0.01, 0.001, 0.001].forEach((rate, at) => expect(rates[at]).toBeCloseTo(rate, 10));
    const every = scheduleOf(settings({ schedule: 'step', decayEvery: 100 }), 10);
    [0.1, 0.01, 0.001].forEach((rate, at) => expect(learningRateAt(1000 * at, every)).toBeCloseTo(rate, 10));
  });

  it('refuses epochs that there are not, and those of another schedule', () => {
    expect(() => checkTrainSettings(settings({ schedule: 'step', decayAt: [0] }))).toThrow(
      /fall behind epoch 0; --decay-at/,
    );
    expect(() => checkTrainSettings(settings({ decayAt: [5] }))).toThrow(
      /a cosine schedule has no epochs of reductions/,
    );
    expect(epochsOf('30, 60,80')).toEqual([30, 60, 80]);
    for (const text of ['', '30,', 'soon', '-1']) expect(() => epochsOf(text)).toThrow(/--decay-at is/);
  });
});
