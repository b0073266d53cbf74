/** The published JSON contract of a study (`--json`, study.json). A field is added, never renamed; a breaking change raises the schema number. */
import type { Ratio } from './convert.js';
import type { Interval } from './eval.js';
import type { Closeness, RecoverReport } from './recover.js';
import type { DataSummary } from './train.js';

/**
 * What is done with a start: trained on the labels, trained towards the architecture's own model (`lowrank train --teacher`), or
 * that and then trained on the labels.
 */
export type StudyTreatment = 'labels' | 'recovery' | 'recovery-then-labels' | 'adapt-ranks' | 'warmup-full';

/** What is trained: a re-drawn start of an architecture, at one rank scale and initialization or at full rank. */
export interface StudyCondition {
  /** As the study file calls it. */
  readonly architecture: string;
  /** Absent where all starts of the study are trained on the labels alone. */
  readonly treatment?: StudyTreatment;
  /** Name of the regularizer, its coefficient included: "weight decay 0.0001". */
  readonly regularizer: string;
  /** null: full rank. */
  readonly rankScale: number | null;
  /** null: full rank. */
  readonly init: string | null;
}

/**
 * `finished`: trained to the end. `diverged`: a loss or weight became NaN or infinite, which is a result. `failed`: an
 * error, tried again by the next run. `pending`: not trained yet.
 */
export type CellStatus = 'finished' | 'diverged' | 'failed' | 'pending';

/** How close a start came to its original, on pictures that it did not learn from. */
export interface StudyRecovery extends Pick<RecoverReport, 'start' | 'retreats'> {
  /** Of the weights that were taken, and the updates before them; 0: those of the start. */
  readonly written: Closeness & { readonly step: number };
  readonly lr: number;
  /** Pictures that it learned from, and that it was judged by. */
  readonly images: number;
  readonly heldOut: number;
}

/** One training. Accuracies are fractions of 1. */
export interface StudyCell extends StudyCondition {
  readonly seed: number;
  /** Of its settings and data: the name of its file in cells/. Cells of equal identity are one training. */
  readonly id: string;
  readonly status: CellStatus;
  /** Why it diverged or failed; null otherwise. */
  readonly reason: string | null;
  /** On the validation images, after the last epoch or the recovery; null where the cell is not finished. */
  readonly top1: number | null;
  readonly top5: number | null;
  readonly loss: number | null;
  /** The highest of all epochs: chosen on the validation images, so too good by selection. */
  readonly bestTop1: number | null;
  /** Mean training loss of the last epoch. */
  readonly trainLoss: number | null;
  readonly epochs: number;
  /** Top-1 on the validation images after each epoch. */
  readonly curve: readonly (number | null)[];
  /** Of the low-rank start against the architecture; null where there is no start yet. */
  readonly params: Ratio | null;
  readonly macs: Ratio | null;
  /** Mean over the factorized layers at the start, before training; null at full rank. */
  readonly functionError: number | null;
  /** Absent where the treatment has none, and where it has not come to it. */
  readonly recovery?: StudyRecovery;
  /** Wall time of all attempts and resumptions that led to it. */
  readonly seconds: number;
  /** Whether it was finished before this run. */
  readonly isReused: boolean;
}

/** The seeds of one condition. Deviations divide by n − 1; null where n is too small. */
export interface StudyGroup extends StudyCondition {
  /** Finished cells. */
  readonly n: number;
  readonly diverged: number;
  /** Failed and pending cells. */
  readonly missing: number;
  readonly mean: number | null;
  readonly deviation: number | null;
  /** Student's t interval of the mean, 95 %. */
  readonly ci95: Interval | null;
  /** Means over the finished cells, before and behind the recovery; absent where the treatment has none. */
  readonly recovery?: { readonly start: Closeness; readonly written: Closeness };
}

/**
 * top-1 of `init` minus that of `against`, pair by pair: the same architecture, regularizer, rank scale and seed, so the same
 * full-rank draw and the same order of images.
 */
export interface StudyDifference {
  readonly architecture: string;
  /** As in `StudyCondition`. */
  readonly treatment?: StudyTreatment;
  readonly regularizer: string;
  /** null: the pairs of all rank scales together. */
  readonly rankScale: number | null;
  readonly init: string;
  readonly against: string;
  /** Pairs of two finished cells. */
  readonly n: number;
  /** Pairs that one of the two is missing from, or diverged. */
  readonly leftOut: number;
  readonly mean: number | null;
  readonly deviation: number | null;
  /** Student's t interval of the mean difference, 95 %, not adjusted for the number of comparisons. */
  readonly ci95: Interval | null;
}

/** top-1 of one treatment minus that of another, over all pairs of one start and seed, as `StudyDifference`. */
export interface StudyTreatmentDifference extends Omit<
  StudyDifference,
  'treatment' | 'rankScale' | 'init' | 'against'
> {
  readonly treatment: StudyTreatment;
  readonly against: StudyTreatment;
}

export interface StudyArchitectureReport {
  readonly name: string;
  /** An architecture of `lowrank-create`, or the path of a model. */
  readonly source: string;
  /** Settings of training that are its own. */
  readonly train: Readonly<Record<string, unknown>>;
  /** Units of the hidden layers, where the study says them. */
  readonly hidden?: readonly number[];
  /** Of trainings that find their ranks, over the study's own; absent where it has none. */
  readonly adapt?: Readonly<Record<string, unknown>>;
}

export interface StudyReport {
  readonly schema: 'lowrank.study/1';
  readonly tool: { readonly name: 'lowrank'; readonly version: string };
  /** The command line that goes on with the study; absent where the library was called. */
  readonly command?: string;
  /** Where cells and reports lie. */
  readonly folder: string;
  readonly architectures: readonly StudyArchitectureReport[];
  readonly rankScales: readonly number[];
  readonly inits: readonly string[];
  /** Absent where all starts are trained on the labels alone. The first is what others are compared with. */
  readonly treatments?: readonly StudyTreatment[];
  readonly regularizers: readonly {
    readonly name: string;
    readonly weightDecay: number;
    readonly frobeniusDecay: number;
  }[];
  readonly seeds: readonly number[];
  readonly fullRank: boolean;
  /** The initialization that others are compared with; null where there is only one. */
  readonly compareTo: string | null;
  /** Options of conversion and training that all cells share, as they were given. */
  readonly settings: {
    readonly convert: Readonly<Record<string, unknown>>;
    readonly train: Readonly<Record<string, unknown>>;
    /** Absent without a recovery. */
    readonly recover?: Readonly<Record<string, unknown>>;
    /** Of trainings that find their ranks; absent where none do. */
    readonly adapt?: Readonly<Record<string, unknown>>;
    /** Epochs in full rank, where they are given. */
    readonly warmupFull?: number;
  };
  readonly data: { readonly train: DataSummary; readonly val: DataSummary };
  readonly cells: readonly StudyCell[];
  readonly groups: readonly StudyGroup[];
  readonly differences: readonly StudyDifference[];
  /** Absent where there is one treatment. */
  readonly treatmentDifferences?: readonly StudyTreatmentDifference[];
  readonly counts: {
    readonly cells: number;
    readonly finished: number;
    readonly diverged: number;
    readonly failed: number;
    readonly pending: number;
    /** Of the finished and diverged ones, those of earlier runs. */
    readonly reused: number;
    /** Cells in the folder that the study file no longer asks for: kept, not reported. */
    readonly unasked: number;
  };
  readonly warnings: readonly string[];
  /** Wall time of this run, and of all its cells in all runs. */
  readonly seconds: { readonly total: number; readonly cells: number };
  /** `failed`: some cells failed. `planned`: nothing was run. */
  readonly status: 'finished' | 'interrupted' | 'failed' | 'planned';
}
