import { LowrankError } from '../../errors.js';
import { inits } from '../inits/index.js';
import type { InitName } from '../types.js';
import { checkFitSettings, defaultFitSettings, type FitSchedule, type FitSettings } from './settings.js';

/** How the inits that sample run; options of `convert`. */
export interface FitOptions {
  /** Steps of Adam; default 1000, of `fai` 300. */
  readonly fitSteps?: number;
  /** Inputs that are drawn for each step; default 256, of `fai` 32. */
  readonly fitBatch?: number;
  /** Adam's learning rate at the first step; default: a share of the entries that a layer's pair starts with. */
  readonly fitLr?: number;
  /** Default `linear`: it falls to 0. */
  readonly fitSchedule?: FitSchedule;
}

const names = { fitSteps: '--fit-steps', fitBatch: '--fit-batch', fitLr: '--fit-lr', fitSchedule: '--fit-schedule' };

/** The settings of the options. Throws USAGE where a number makes no sense, or `init` samples nothing. */
export function fitSettingsOf(options: FitOptions, init: InitName): FitSettings {
  const given = (Object.keys(names) as (keyof FitOptions)[]).find((name) => options[name] !== undefined);
  if (given !== undefined && inits[init].isSampled !== true) {
    const sampling = Object.values(inits).filter(({ isSampled }) => isSampled);
    throw new LowrankError('USAGE', `${names[given]} does nothing with --init ${init}`, {
      remedy: `it belongs to --init ${sampling.map(({ name }) => name).join(', ')}`,
    });
  }
  const defaults = { ...defaultFitSettings, ...inits[init].fitDefaults };
  const settings: FitSettings = {
    steps: options.fitSteps ?? defaults.steps,
    batch: options.fitBatch ?? defaults.batch,
    learningRate: options.fitLr ?? defaults.learningRate,
    schedule: options.fitSchedule ?? defaults.schedule,
  };
  checkFitSettings(settings);
  return settings;
}

/** For a report: the value of every option, null where nothing was sampled. */
export function describeFit(settings: FitSettings, init: InitName): Record<keyof FitOptions, unknown> {
  const isSampled = inits[init].isSampled === true;
  return {
    fitSteps: isSampled ? settings.steps : null,
    fitBatch: isSampled ? settings.batch : null,
    fitLr: isSampled ? settings.learningRate : null,
    fitSchedule: isSampled ? settings.schedule : null,
  };
}
