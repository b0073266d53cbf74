import { LowrankError } from '../errors.js';
import { checkImageSettings, defaultImageSettings, type ImageSettings } from '../images/image-settings.js';
import { checkChoices, checkRanges } from '../range.js';
import {
  checkMatchSettings,
  defaultMatchSettings,
  matchingGraphSettings,
  type MatchSettings,
} from '../step/match-settings.js';
import { checkGraphSettings, type GraphSettings } from '../step/settings.js';
import {
  type AugmentName,
  augmentNames,
  type AugmentSettings,
  defaultTrainSettings,
  requireDevice,
  requirePortable,
  type RunningSettings,
  type TrainSettings,
} from '../training/options.js';
import { recoverRanges } from './ranges.js';

/** The model at once, block by block (`followBlocks`), or first the one and then the other. */
export const recoverByNames = ['whole', 'blocks', 'both'] as const;

/** Whether the teacher runs with every update, on what the model sees, or once, over pictures that are then not changed at random. */
export const teacherRunsNames = ['auto', 'always', 'once'] as const;

export const batchNormNames = ['auto', 'frozen', 'batch'] as const;

/** Everything that decides a recovery. */
export interface RecoverSettings
  extends
    GraphSettings,
    ImageSettings,
    RunningSettings,
    Omit<AugmentSettings, 'augment'>,
    Omit<MatchSettings, 'batchNorm'>,
    Pick<TrainSettings, 'batchSize' | 'seed' | 'maxBad'> {
  /** null: by the size of the pictures (`augmentFor`). */
  readonly augment: AugmentName | null;
  /** `auto`: frozen below `fewImages` pictures. */
  readonly batchNorm: (typeof batchNormNames)[number];
  /** `auto`: always, but where the memory does not hold both models. */
  readonly teacherRuns: (typeof teacherRunsNames)[number];
  readonly recoverBy: (typeof recoverByNames)[number];
  /** Updates; of each block where it is done by blocks. null: by what one costs (`usualSteps`). */
  readonly steps: number | null;
  /** The largest learning rate; null: found by short trainings. */
  readonly lr: number | null;
}

/** Where trials of learning rates begin: Adam's updates are as large as the rate, those of SGD as the gradient. */
export const firstRates = { adam: 1e-3, adamw: 1e-3, rmsprop: 3e-4, sgd: 1e-2 } as const;

/** Pictures up to this side lose too much by crops, and are moved by some pixels instead. */
const smallSide = 64;

/** How pictures of a size are changed at random where nobody says it. */
export function augmentFor(width: number, height: number): AugmentName {
  return Math.max(width, height) <= smallSide ? 'pad' : 'crop';
}

/** Updates of a recovery where nobody says how many, at least and at most, and multiply-accumulates of all pictures in them. */
export const mostSteps = 3000;
const [leastSteps, usualMacs] = [600, 600 * 16 * 200e6];

/**
 * How many updates a recovery has where nobody says it: small models gain from more than large ones can be given in the same time.
 * `macs` are those of the model for one picture.
 */
export function usualSteps(
  { recoverBy, batchSize }: Pick<RecoverSettings, 'recoverBy' | 'batchSize'>,
  macs: number,
): number {
  if (recoverBy !== 'whole') return leastSteps;
  return Math.min(mostSteps, Math.max(leastSteps, Math.round(usualMacs / (batchSize * Math.max(1, macs)))));
}

/** Settings with all that is found out carried out. */
export type SettledRecover = RecoverSettings & { readonly steps: number };

/** With fewer pictures the statistics of batches, and the running ones that follow them, do more harm than good. */
export const fewImages = 10_000;

export const defaultRecoverSettings: RecoverSettings = {
  ...matchingGraphSettings,
  ...defaultImageSettings,
  ...defaultMatchSettings,
  ...{ batchNorm: 'auto', teacherRuns: 'auto', recoverBy: 'whole' },
  ...{ steps: null, batchSize: 16, lr: null, seed: 0, maxBad: 0 },
  ...{ augment: null, minScale: 0.35, flip: true },
  device: defaultTrainSettings.device,
  allowCpuNodes: defaultTrainSettings.allowCpuNodes,
  tf32: defaultTrainSettings.tf32,
  nhwc: defaultTrainSettings.nhwc,
  convSearch: defaultTrainSettings.convSearch,
  cudaGraphs: defaultTrainSettings.cudaGraphs,
  gpuMemory: defaultTrainSettings.gpuMemory,
  threads: defaultTrainSettings.threads,
  workers: defaultTrainSettings.workers,
  target: defaultTrainSettings.target,
};

/** Throws USAGE for values that no recovery can mean. */
export function checkRecoverSettings(settings: RecoverSettings): void {
  checkRanges(recoverRanges, settings);
  checkChoices({ batchNorm: batchNormNames, recoverBy: recoverByNames, teacherRuns: teacherRunsNames }, settings);
  if (settings.augment !== null) checkChoices({ augment: augmentNames }, { augment: settings.augment });
  checkGraphSettings(settings);
  checkImageSettings(settings);
  requireDevice(settings);
  requirePortable(settings.precision, settings.device === 'cuda' ? 'cuda' : settings.target);
  if (settings.recoverBy !== 'whole' && settings.labelWeight > 0) {
    throw new LowrankError('USAGE', `blocks learn from the teacher alone, without labels`, {
      place: '--label-weight',
      remedy: 'leave it out, or --recover-by',
    });
  }
  if (settings.recoverBy === 'blocks' && settings.teacherRuns !== 'auto') {
    throw new LowrankError('USAGE', 'a recovery block by block runs the teacher block by block', {
      place: '--teacher-runs',
      remedy: 'leave it out, or --recover-by',
    });
  }
  checkMatchSettings(settings);
}
