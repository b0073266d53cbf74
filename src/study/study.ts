import type { AdaptSettings } from '../adapt/settings.js';
import type { ConvertOptions } from '../convert/options.js';
import type { StudyTreatment } from '../contracts/study.js';
import type { InitName } from '../factorize/types.js';
import type { RecoverSettings } from '../recover/settings.js';
import type { TrainSettings } from '../training/options.js';

/** Where the weights that are re-drawn get their places from. */
export type ModelSource =
  | {
      readonly kind: 'created';
      readonly architecture: string;
      readonly imageSize: number | undefined;
      readonly hidden?: readonly number[] | undefined;
    }
  | { readonly kind: 'file'; readonly path: string };

export interface StudyArchitecture {
  /** Unique in the study. */
  readonly name: string;
  readonly source: ModelSource;
  /** Wins over the study's own. */
  readonly train: Partial<TrainSettings>;
  /** Of trainings that find their ranks; wins over the study's own. */
  readonly adapt?: Partial<AdaptSettings>;
}

/** What is minimized beside the loss. Coefficients as `lowrank-train` has them. */
export interface Regularizer {
  /** Names the coefficient too: "weight decay 0.0001". Unique in the study. */
  readonly name: string;
  readonly weightDecay: number;
  readonly frobeniusDecay: number;
}

export const treatmentNames = [
  'labels',
  'recovery',
  'recovery-then-labels',
  'adapt-ranks',
  'warmup-full',
] as const satisfies readonly StudyTreatment[];

export const recovers = (treatment: StudyTreatment): boolean =>
  treatment === 'recovery' || treatment === 'recovery-then-labels';

/** Whether a training begins in full rank, and comes to the size of the start by itself. */
export const beginsWhole = (treatment: StudyTreatment): boolean =>
  treatment === 'adapt-ranks' || treatment === 'warmup-full';

/** A grid of trainings: architectures × treatments × regularizers × rank scales × inits × seeds, and full-rank references. */
export interface Study {
  readonly architectures: readonly StudyArchitecture[];
  readonly rankScales: readonly number[];
  readonly inits: readonly InitName[];
  /**
   * Default: `labels` alone. Where one recovers, all starts have the weights of the model, which is its own teacher, and none are
   * re-drawn: architectures are files then.
   */
  readonly treatments?: readonly StudyTreatment[];
  readonly regularizers: readonly Regularizer[];
  readonly seeds: readonly number[];
  /** Whether each architecture is trained on the labels at full rank too, once a regularizer and seed. */
  readonly fullRank: boolean;
  /** One of `inits`. */
  readonly compareTo: InitName | null;
  readonly data: string;
  readonly val: string | undefined;
  /** Of every conversion; rank scale, init and seed are the cells'. */
  readonly convert: ConvertOptions;
  /** Of every training; decay and seed are the cells'. */
  readonly train: Partial<TrainSettings>;
  /** Of every recovery; how images are used, and where it runs, is what `train` says. */
  readonly recover?: Partial<RecoverSettings>;
  /** Of trainings that find their ranks: all but the size, which is that of the conversion beside it. */
  readonly adapt?: Partial<AdaptSettings>;
  /** Epochs in full rank of the treatment `warmup-full`; default: a third of all. */
  readonly warmupFull?: number;
  /** How often a failed cell is tried again in one run. */
  readonly retries: number;
  /** Whether trained models stay, in trained/. */
  readonly keepModels: boolean;
}

export function treatmentsOf({ treatments }: Study): readonly StudyTreatment[] {
  return treatments ?? ['labels'];
}

/** Whether starts are drawn afresh; else they have the weights of the model. */
export function isDrawn(study: Study): boolean {
  return !treatmentsOf(study).some(recovers);
}
