/** The published JSON contract of a recovery (`lowrank train --teacher … --json`). A field is added, never renamed. */
import type { Preparation } from './images.js';
import type { ModelSummary } from './model.js';

/** How close the model is to its teacher on the pictures that are kept out of the training. */
export interface Closeness {
  /** What is minimized, without augmentation: the lower, the closer; 0 is the teacher itself. */
  readonly loss: number;
  /** Share of pictures on which both name one class, or, with labels, on which the model is right; null where it is no classifier. */
  readonly agreement: number | null;
}

/** A look at the pictures that are kept out; one that finds a loss which is not finite is none of them, but a retreat. */
export interface RecoverEvaluation extends Closeness {
  /** Updates before it. */
  readonly step: number;
  /** Mean training loss since the look before. */
  readonly trainingLoss: number;
  readonly lr: number;
}

/** A short training from the start with one learning rate. */
export interface RateTrial {
  readonly lr: number;
  readonly steps: number;
  /** On the pictures that are kept out, behind it; null where a loss or a gradient was not finite. */
  readonly loss: number | null;
}

/** What became of one block of a recovery block by block. */
export interface BlockRecovery {
  /** The value that it computes. */
  readonly name: string;
  /** Elements of it that are trained. */
  readonly parameters: number;
  /** Relative squared error, or divergence of classes, on the pictures that are kept out: before, and of the weights that were kept. */
  readonly start: number;
  readonly written: number;
  /** Updates before those; 0: no others were closer. */
  readonly step: number;
}

/** What a recovery would do (`lowrank train --teacher … --explain --json`). */
export interface RecoverExplainReport extends Pick<
  RecoverReport,
  | 'tool'
  | 'command'
  | 'seed'
  | 'model'
  | 'teacher'
  | 'settings'
  | 'data'
  | 'preparation'
  | 'matching'
  | 'start'
  | 'warnings'
> {
  readonly schema: 'lowrank.recover-explain/1';
  /** Elements that are trained. */
  readonly parameters: number;
  /** Stored tensors that are not trained, and why. */
  readonly kept: readonly { readonly name: string; readonly shape: readonly number[]; readonly reason: string }[];
}

export interface RecoverReport {
  readonly schema: 'lowrank.recover/1';
  readonly tool: { readonly name: 'lowrank'; readonly version: string };
  /** The command line that repeats the run; absent where the library was called. */
  readonly command?: string;
  readonly seed: number;
  /** What was trained. */
  readonly model: ModelSummary;
  /** What it was made to compute. */
  readonly teacher: ModelSummary;
  /** Every option with its value, defaults included. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** `heldOut`: the pictures that the model is judged by; `from`: a data set of their own, or the same as those of the training. */
  readonly data: {
    readonly path: string;
    readonly images: number;
    readonly heldOut: { readonly path: string; readonly images: number; readonly from: 'option' | 'data' };
  };
  readonly preparation?: Preparation;
  readonly matching: {
    /** Classes whose distributions are compared; null where the model is no classifier. */
    readonly classes: number | null;
    /** Values of both models whose relative squared errors are added, by their names in both. */
    readonly points: readonly { readonly name: string; readonly weight: number }[];
    readonly batchNorm: 'frozen' | 'batch';
    /** Whether the teacher runs with every update, on what the model sees, or ran once before. */
    readonly teacher: 'in every update' | 'once';
  };
  readonly rate: {
    readonly lr: number;
    /** Whether it was given, found by short trainings, or the usual one of the optimizer. */
    readonly from: 'option' | 'trials' | 'usual';
    readonly trials: readonly RateTrial[];
  };
  readonly start: Closeness;
  /** Where it was done block by block, in their order, and how close the model was behind it. */
  readonly blocks?: readonly BlockRecovery[];
  readonly behindBlocks?: Closeness;
  readonly evaluations: readonly RecoverEvaluation[];
  /** Times that the training went back to its best weights with half of the rate. */
  readonly retreats: number;
  /** What `output` holds: the weights behind `step`; 0: the start's, as no other were closer. null where nothing was written. */
  readonly written: (Closeness & { readonly step: number }) | null;
  readonly output: { readonly path: string; readonly bytes: number; readonly sha256: string } | null;
  readonly warnings: readonly string[];
  readonly seconds: {
    readonly prepare: number;
    readonly trials: number;
    readonly train: number;
    readonly evaluate: number;
    readonly total: number;
  };
  readonly stepsPerSecond: number | null;
  readonly status: 'finished' | 'stopped early' | 'interrupted';
}
